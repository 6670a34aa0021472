import pytest

from bids_app.exitcodes import ExitCode
from bids_app.failures import Failure, failure_lines, overall_code, read_failures

CRASH = """Node: fusionprep_wf.sub_01_wf.pet_trc_18FFDG_wf.coregistration_wf.register
Working directory: /work/fusionprep_wf/register

Node inputs:

moving = <undefined>
t1w = /a/b.nii

Traceback (most recent call last):
  File "bids_app/plugin.py", line 27, in run_node
    return {"result": node.run(updatehash=updatehash)}
nipype.pipeline.engine.nodes.NodeExecutionError: Exception raised while executing Node register.

Traceback:
\tTraceback (most recent call last):
\t  File "nipype/interfaces/base/core.py", line 401, in run
\t    runtime = self._run_interface(runtime)
"""


def crash(folder, ending: str, name: str = "crash-20250101-000000-user-register-1.txt"):
    path = folder / name
    path.write_text(CRASH + ending, encoding="utf-8")
    return path


def the_failure(folder, ending: str) -> Failure:
    crash(folder, ending)
    (failure,) = read_failures(folder)
    assert "\n" not in failure.message
    return failure


def test_an_error_of_our_own_is_its_message(tmp_path):
    failure = the_failure(
        tmp_path, "\tfusionprep.errors.DataError: /a/b.nii is corrupt; copy it again\n"
    )
    assert failure.subject == "sub-01"
    assert failure.message == "/a/b.nii is corrupt; copy it again"
    assert failure.code == ExitCode.DATA
    assert failure.crash_file == tmp_path / "crash-20250101-000000-user-register-1.txt"


def test_an_output_error_is_one_of_input_and_output(tmp_path):
    failure = the_failure(tmp_path, "\tfusionprep.errors.OutputError: cannot write x\n")
    assert failure.code == ExitCode.IO_ERROR


def test_the_last_of_chained_errors_of_our_own_counts(tmp_path):
    failure = the_failure(
        tmp_path,
        "\tOSError: [Errno 28] No space left on device\n\n"
        "\tThe above exception was the direct cause of the following exception:\n\n"
        "\tfusionprep.errors.OutputError: cannot write x; free space\n\n\n"
        "When creating this crashfile, the results file corresponding\n"
        "to the node could not be found.",
    )
    assert failure.message == "cannot write x; free space"


@pytest.mark.parametrize(
    ("ending", "last"),
    [
        ("\tValueError: bad\n", "ValueError: bad"),
        ("\tRuntimeError: first line\n\tsecond line\n", "RuntimeError: first line"),
        ("\ttraits.trait_errors.TraitError: x\n", "traits.trait_errors.TraitError: x"),
        ("\tAssertionError\n", "AssertionError"),
        ("KeyboardInterrupt\n", "KeyboardInterrupt"),
        ("SystemExit: 3\n", "SystemExit: 3"),
    ],
)
def test_another_error_is_told_with_its_step(tmp_path, ending, last):
    failure = the_failure(tmp_path, ending)
    assert failure.message == f"pet trc-18FFDG coregistration register failed: {last}"
    assert failure.code == ExitCode.FAILURE


@pytest.mark.parametrize(("number", "code"), [(28, 74), (30, 74), (5, 74), (13, 74), (2, 1)])
def test_an_error_of_the_disk_is_one_of_input_and_output(tmp_path, number, code):
    assert the_failure(tmp_path, f"\tOSError: [Errno {number}] words: 'x'\n").code == code


def test_a_file_without_a_node(tmp_path):
    (tmp_path / "crash-1.txt").write_text("")
    (failure,) = read_failures(tmp_path)
    assert failure.code == ExitCode.IO_ERROR
    assert "\n" not in failure.message


def test_failures_are_in_order_of_time_and_other_files_are_left_alone(tmp_path):
    for index in (2, 1):
        crash(tmp_path, f"ValueError: {index}\n", f"crash-20250101-00000{index}-u-n-x.txt")
    (tmp_path / "fusionprep.toml").write_text("nprocs = 1\n")
    messages = [failure.message for failure in read_failures(tmp_path)]
    assert [message[-1] for message in messages] == ["1", "2"]
    assert read_failures(tmp_path / "missing") == []


def test_bytes_that_are_not_utf_8(tmp_path):
    path = crash(tmp_path, "")
    path.write_bytes(path.read_bytes() + b"ValueError: \xe4\n")
    assert read_failures(tmp_path)[0].message.endswith("ValueError: \ufffd")


def test_labels_with_a_plus_sign_are_given_back(tmp_path):
    path = crash(tmp_path, "ValueError: x\n")
    path.write_text(path.read_text().replace("sub_01_wf", "sub_a_b_wf"))
    assert read_failures(tmp_path, ["a+b"])[0].subject == "sub-a+b"


def failure(code: ExitCode, subject: str = "sub-01", message: str = "m") -> Failure:
    return Failure(subject, message, code)


@pytest.mark.parametrize(
    ("codes", "overall"),
    [([], 0), ([65], 65), ([65, 65], 65), ([65, 74], 1), ([1, 65], 1), ([74], 74)],
)
def test_the_code_of_a_run(codes, overall):
    assert overall_code([failure(ExitCode(code)) for code in codes]) == overall


def test_lines_name_the_subject_and_the_details(tmp_path):
    path = tmp_path / "logs" / "crash-1.txt"
    failures = [
        Failure("sub-01", "b is corrupt", ExitCode.DATA, path),
        Failure("sub-02", "sub-02 has no T1w", ExitCode.DATA),
    ]
    assert failure_lines(failures, tmp_path) == [
        "sub-01: b is corrupt (details: logs/crash-1.txt)",
        "sub-02 has no T1w",
    ]


def test_a_full_disk_is_one_line_per_subject(tmp_path):
    lines = failure_lines(
        [failure(ExitCode.IO_ERROR, message=text) for text in "abc"]
        + [failure(ExitCode.IO_ERROR, "sub-02")],
        tmp_path,
    )
    assert lines == ["sub-01: a; 2 more steps failed in the same way", "sub-02: m"]
