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


def test_a_line_for_each_step_that_takes_time():
    stream = io.StringIO()
    progress = Progress(3, stream)
    for name in ("average", "ds_preproc"):
        node = Node(f"{PET}.{name}")
        progress(node, "start")
        progress(node, "end")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("0/3 steps] sub-01: pet trc-18FFDG average")


def test_what_ran_and_what_was_there_already():
    stream = io.StringIO()
    progress = Progress(4, stream)
    ran, failed, early, cached = (Node(f"{PET}.{name}") for name in "abcd")
    for node, status in (
        (ran, "start"),
        (failed, "start"),
        (cached, "end"),
        (ran, "end"),
        (failed, "exception"),
        (early, "exception"),  # its inputs could not be set
    ):
        progress(node, status)
    assert (progress.finished, progress.executed, progress.cached) == (4, 3, 1)
    progress.close()
    assert stream.getvalue().endswith("3 steps ran, 1 were taken from the work directory\n")


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    progress = Progress(2, stream)
    for name in ("average", "register"):
        node = Node(f"{PET}.{name}")
        progress(node, "start")
        progress(node, "end")
    progress.close()
    assert "2/2" in stream.getvalue()
    assert "sub-01: pet trc-18FFDG" in stream.getvalue()
