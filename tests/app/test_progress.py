import io
from dataclasses import dataclass

import pytest

from bids_app.progress import Progress, describe_node


@dataclass
class Node:
    fullname: str


PET = "fusionprep_wf.sub_01_wf.pet_trc_18FFDG_wf"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            f"{PET}.coregistration_wf.register",
            ["sub-01", "pet trc-18FFDG", "coregistration", "register"],
        ),
        (
            "fusionprep_wf.sub_a_wf.pet_ses_b_trc_c_run_1_wf.average",
            ["sub-a", "pet ses-b trc-c run-1", "average"],
        ),
        ("fusionprep_wf.sub_01_wf.anatomical_wf.conform", ["sub-01", "anatomical", "conform"]),
        ("alone", ["alone"]),
    ],
)
def test_words_for_a_node(name, words):
    assert describe_node(name) == words


def names(subject: str, count: int) -> list[str]:
    return [f"fusionprep_wf.sub_{subject}_wf.step_{number}" for number in range(count)]


def do(progress: Progress, fullnames: list[str], end: str = "end") -> None:
    for name in fullnames:
        progress(Node(name), "start")
        progress(Node(name), end)


def test_a_line_for_each_step_that_takes_time():
    stream = io.StringIO()
    progress = Progress(3, stream)
    steps = [f"{PET}.{name}" for name in ("average", "ds_preproc")]
    progress.expect(steps)
    do(progress, steps)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("0 of 3 subjects done] sub-01: pet trc-18FFDG average")


def test_what_ran_and_what_was_there_already():
    stream = io.StringIO()
    progress = Progress(1, stream)
    ran, failed, early, cached = (Node(f"{PET}.{name}") for name in "abcd")
    progress.expect(node.fullname for node in (ran, failed, early, cached))
    for node, status in (
        (ran, "start"),
        (failed, "start"),
        (cached, "end"),
        (ran, "end"),
        (failed, "exception"),
        (early, "exception"),  # its inputs could not be set
    ):
        progress(node, status)
    assert (progress.executed, progress.cached) == (3, 1)
    assert (progress.finished, progress.failed) == (0, 1)
    progress.close()
    assert stream.getvalue().endswith("3 steps ran, 1 were taken from the work directory\n")


def test_subjects_that_are_done_and_that_failed():
    stream = io.StringIO()
    progress = Progress(4, stream)
    for label in ("01", "02", "03"):
        progress.expect(names(label, 3))
    do(progress, names("01", 3))
    do(progress, names("02", 1), "exception")
    progress.skip(names("02", 3)[1:])
    do(progress, names("03", 1))
    assert "1 of 4 subjects done, 1 failed" in stream.getvalue().splitlines()[-1]


def test_the_time_left_counts_what_ran_and_what_is_to_come(monkeypatch):
    """Two of four subjects took 10 min, of a third all came from the work directory."""
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr("bids_app.progress.time.monotonic", lambda: now[0])
    progress = Progress(4, stream)
    for label in ("01", "02", "03", "04"):
        progress.expect(names(label, 2))
    for name in names("03", 2):
        progress(Node(name), "end")
    do(progress, names("01", 2))
    now[0] = 600.0
    do(progress, names("02", 2))
    do(progress, names("04", 1))
    assert "[ 10.0 min, 3 of 4 subjects done, about 5 min left]" in stream.getvalue()


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    progress = Progress(2, stream)
    steps = [f"{PET}.{name}" for name in ("average", "register")]
    progress.expect(steps)
    do(progress, steps)
    progress.close()
    assert " 50%" in stream.getvalue()
    assert "0 of 2 subjects done | sub-01: pet trc-18FFDG" in stream.getvalue()
