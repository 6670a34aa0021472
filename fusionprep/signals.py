"""An orderly end of a command when a user, a scheduler or a lost terminal asks for one."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

SECONDS_TO_COLLECT = 0.1
"""After which a signal is sent again that came while garbage was collected."""


class StoppedError(BaseException):
    """The command was asked to end; not caught by whoever catches errors, nor by Lightning.

    Attributes
    ----------
    number
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class InterruptionError(KeyboardInterrupt):
    """As on Ctrl-C, by a class of its own.

    Where a plain one passes through code that is compiled at run time, as that of dataclasses is,
    Python ends itself by SIGINT in the end, whatever was made of the exception.
    """


@contextmanager
def endings(kind: type[BaseException] = StoppedError) -> Iterator[list[int]]:
    """Raise an exception, with the signal's number, on Ctrl-C, SIGTERM and SIGHUP.

    Schedulers and containers send SIGTERM, which the first process of a container would ignore,
    to be killed a few seconds later.

    What is raised while Python collects garbage is lost, so a signal that comes then is sent again.
    Yields the signals that came.
    """
    came: list[int] = []
    again: list[threading.Timer] = []

    def stop(number: int, _frame: object) -> None:
        came.append(number)
        raise kind(number)

    # Python takes signals in the main thread alone
    ours = ENDING if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in ours}
    for number, handler in before.items():
        # whoever started this process in the background, or by nohup, has asked to ignore it
        if handler is not signal.SIG_IGN:
            signal.signal(number, stop)
    unraisable = sys.unraisablehook

    def tell(lost: "sys.UnraisableHookArgs") -> None:
        if not isinstance(lost.exc_value, kind):
            unraisable(lost)
            return
        again.append(threading.Timer(SECONDS_TO_COLLECT, os.kill, (os.getpid(), came[-1])))
        again[-1].start()

    sys.unraisablehook = tell
    try:
        yield came
    finally:
        sys.unraisablehook = unraisable
        for timer in again:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def ending_in_order(run: Callable[[], int]) -> int:
    """Run a command; where a signal ends it, with one line and the exit code that shells use."""
    with endings() as came:
        try:
            code = run()
        except StoppedError as stopped:
            came.append(stopped.number)
    if not came:
        return code
    name = "interrupted" if came[0] == signal.SIGINT else signal.Signals(came[0]).name
    print(f"fusionprep: ended ({name})", file=sys.stderr)
    return 128 + came[0]
