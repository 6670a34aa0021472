import os
import signal
import time

import pytest

from fusionprep.signals import ENDING, StoppedError, endings


def send_and_wait(number: int) -> None:
    os.kill(os.getpid(), number)
    wait()


def collect_and_wait(number: int) -> None:
    garbage = Garbage(number)
    del garbage
    wait()


def wait() -> None:
    limit = time.monotonic() + 20
    while time.monotonic() < limit:
        time.sleep(0.01)


class Garbage:
    """Sends this process a signal when it is collected."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)
        time.sleep(0.01)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_what_runs(number):
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(StoppedError) as stopped, endings() as came:
            send_and_wait(number)
    finally:
        signal.signal(number, before)
    assert stopped.value.number == number
    assert came == [number]


def test_a_signal_that_comes_while_garbage_is_collected_is_not_lost(capfd):
    with pytest.raises(StoppedError) as stopped, endings():
        collect_and_wait(signal.SIGTERM)
    assert stopped.value.number == signal.SIGTERM
    assert not capfd.readouterr().err


def test_it_is_not_sent_again_once_all_is_done():
    with endings() as came:
        garbage = Garbage(signal.SIGTERM)
        del garbage
    assert came == [signal.SIGTERM]
    time.sleep(0.3)
