"""An orderly end when a user, a scheduler or a container engine asks for one."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interruptions() -> Iterator[list[int]]:
    """End on SIGTERM, as schedulers and containers send it, in the same way as on Ctrl-C.

    The first process of a container would ignore it, and be killed a few seconds later.

    Yields the signals that came, because an interrupt that is raised while Python collects garbage
    is lost.
    """
    signals: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        signals.append(number)
        raise KeyboardInterrupt(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        # whoever started this process in the background has asked to ignore Ctrl-C
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
