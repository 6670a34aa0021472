"""An orderly end when a user, a scheduler, a container engine or a lost terminal asks for one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """End on SIGTERM, as schedulers and containers send it, and on SIGHUP as on Ctrl-C.

    The first process of a container would ignore it, and be killed a few seconds later.

    Yields the signals that came, because an interrupt that is raised while Python collects garbage
    is lost.
    """
    signals: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        signals.append(number)
        raise KeyboardInterrupt(number)

    before = {number: signal.getsignal(number) for number in ENDING}
    for number, handler in before.items():
        # whoever started this process in the background, or by nohup, has asked to ignore it
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
