"""The command as users call it: options, exit codes, and ends before the end."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bids_app.run import main
from fusionprep.arguments import quietly
from tests.app.runs import (
    CHEAP,
    add_copy,
    check_readable,
    command,
    replace_voxels,
    resize,
    run_app,
    unfinished,
)
from tests.bids.skeleton import t1w, write_dataset


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in files_of(folder)}


@pytest.fixture
def places(phantom, tmp_path) -> dict[str, Path]:
    """Folders that command lines refer to by name."""
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.yml").write_text("- 1\n")
    (tmp_path / "broken.yml").write_text("plugin: [\n")
    (tmp_path / "unknown.yml").write_text("plugin: Nope\n")
    (tmp_path / "more.yml").write_text("plugin: Linear\nargs: {}\n")
    (tmp_path / "bad.toml").write_text("nprocs = 'two'\n")
    return {"bids": phantom, "tmp": tmp_path}


REFUSED = [
    ("{tmp}/empty {tmp}/out participant", 16, "not a BIDS dataset"),
    ("{tmp}/empty {tmp}/out participant --skip-bids-validation", 18, "no folder sub-"),
    ("{tmp}/missing {tmp}/out participant", 66, "does not exist"),
    ("{bids} {tmp}/out everybody", 17, "unknown analysis level 'everybody'; choose from part"),
    ("{bids} {tmp}/out participant --participant-label 98 sub-99", 18, "no folder sub-98, sub-99"),
    ("{bids} {tmp}/out participant --tracer-label PIB", 18, "passes --tracer-label PIB"),
    ("{bids} {tmp}/out participant --session-label a", 18, "passes --session-label a"),
    ("{bids} {tmp}/out participant --anat-session a", 18, "ses-a"),
    ("{bids} {tmp}/file/out participant", 73, "cannot write to the output folder"),
    ("{bids} {tmp}/file participant", 73, "cannot write to the output folder"),
    ("{bids} {tmp}/out participant -w {tmp}/file/work", 73, "cannot write"),
    ("{bids} {tmp}/out participant --bids-database-dir {tmp}/file/db", 73, "cannot write"),
    ("{bids} {bids} participant", 64, "choose another"),
    ("{bids} {bids}/out participant", 64, "/derivatives"),
    ("{bids} {tmp}/out participant -w {bids}/work", 64, "choose another with -w"),
    ("{bids} {tmp}/out participant --use-plugin {tmp}/missing.yml", 64, "missing.yml"),
    ("{bids} {tmp}/out participant --use-plugin {tmp}/broken.yml", 64, "broken.yml"),
    ("{bids} {tmp}/out participant --use-plugin {tmp}/list.yml", 64, "plugin: NAME"),
    ("{bids} {tmp}/out participant --use-plugin {tmp}/unknown.yml", 64, "MultiProc"),
    ("{bids} {tmp}/out participant --use-plugin {tmp}/more.yml", 64, "plugin_args"),
    ("{bids} {tmp}/out participant --config-file {tmp}/missing.toml", 64, "missing.toml"),
    ("{bids} {tmp}/out participant --config-file {tmp}/bad.toml", 64, "nprocs"),
    ("{bids} {tmp}/out participant --bids-filter-file {tmp}/missing", 64, "cannot read"),
    ("{bids} {tmp}/out participant --output-spaces Nope", 64, "template Nope"),
    ("{bids} {tmp}/out participant --reports-only", 66, "no derivatives"),
    ("{bids} {tmp}/out group", 66, "run the participant level first"),
    ("{bids} {tmp}/empty group", 66, "run the participant level first"),
]


@pytest.mark.parametrize(("words", "code", "message"), REFUSED)
def test_what_cannot_start_gives_one_line_and_writes_nothing(places, capsys, words, code, message):
    before = bytes_of(places["tmp"])
    raw = files_of(places["bids"])
    options = [word.format(**places) for word in words.split()]
    if "-w" not in options:
        options += ["-w", str(places["tmp"] / "work")]
    assert main(options) == code
    told = capsys.readouterr()
    assert message in told.err
    assert told.err.startswith("fusionapp: error: ")
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert bytes_of(places["tmp"]) == before
    assert files_of(places["bids"]) == raw


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{bids} {tmp}/out", "required: analysis_level"),
        ("{bids} {tmp}/out participant --fusion-model none", "--fusion-model"),
        ("{bids} {tmp}/out participant --mem much", "--mem"),
        ("{bids} {tmp}/out participant --nprocs 0", "at least 1"),
    ],
)
def test_usage_errors(places, capsys, words, message):
    with pytest.raises(SystemExit) as ended:
        main([word.format(**places) for word in words.split()])
    assert ended.value.code == 64
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


def test_a_dry_run_tells_the_plan_and_writes_nothing(places, capsys):
    before = bytes_of(places["tmp"])
    options = ["-w", str(places["tmp"] / "work"), "--dry-run", "--participant-label", "01", "99"]
    assert main([str(places["bids"]), str(places["tmp"] / "out"), "participant", *options]) == 0
    told = capsys.readouterr().out
    assert "sub-01_trc-18FFDG_pet.nii.gz" in told
    assert "skipped: the dataset has no folder sub-99" in told
    assert bytes_of(places["tmp"]) == before


def test_a_subject_that_is_not_there_does_not_keep_others_from_running(phantom, finished):
    run = run_app(
        phantom, finished.output_dir, "--participant-label", "99", "sub-01", "-v",
        work_dir=finished.work_dir,
    )  # fmt: skip
    assert run.code == 18
    assert run.lines_about("99") == ["sub-99: the dataset has no folder sub-99"]
    assert "1 of 1 subjects finished without errors" in run.stdout
    assert "nipype.workflow INFO" in run.stdout  # what -v adds
    # the group level would count a participant by its report
    assert not list(finished.output_dir.glob("sub-99*"))


def test_reports_are_written_anew_from_the_derivatives(phantom, finished):
    report = finished.output_dir / "sub-01.html"
    report.unlink()
    images = {path: path.stat().st_mtime_ns for path in finished.output_dir.rglob("*.nii.gz")}
    run = run_app(phantom, finished.output_dir, "--reports-only", work_dir=finished.work_dir)
    assert run.code == 0, run.stderr
    assert "fusedAverage" in report.read_text("utf-8")
    assert "steps ran" not in run.stderr
    assert {path: path.stat().st_mtime_ns for path in images} == images


def test_methods_text_and_graph_without_processing(phantom, tmp_path):
    earlier = tmp_path / "work" / "fusionprep_0_0_1_wf"
    earlier.mkdir(parents=True)
    (tmp_path / "work" / "of the user").write_text("x")
    run = run_app(
        phantom, tmp_path / "out", "--boilerplate-only", "--write-graph", "--clean-workdir",
        work_dir=tmp_path / "work",
    )  # fmt: skip
    assert run.code == 0, run.stderr
    assert "Nipype" in (tmp_path / "out" / "logs" / "CITATION.md").read_text("utf-8")
    (graph,) = (tmp_path / "out" / "logs").glob("*/workflow.dot")
    assert "extract_brain" in graph.read_text("utf-8")
    if shutil.which("dot") is None:
        assert run.stderr.count("\n") == 1
        assert "Graphviz" in run.stderr
    else:
        assert graph.with_suffix(".svg").is_file()
    assert not list((tmp_path / "out").glob("sub-*"))
    assert not earlier.exists()
    assert (tmp_path / "work" / "of the user").exists()


def test_an_earlier_run_is_repeated_from_its_configuration(phantom, finished):
    written = min((finished.output_dir / "logs").glob("*/fusionprep.toml"))
    images = bytes_of(finished.output_dir / "sub-01" / "pet")
    arguments = [*command(phantom, finished.output_dir, "participant", None, ())[:-len(CHEAP)],
                 "--config-file", str(written)]  # fmt: skip
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("0 steps ran, ")
    assert bytes_of(finished.output_dir / "sub-01" / "pet") == images


@pytest.mark.parametrize("plugin", ["Linear", "MultiProc"])
def test_the_plugin_of_a_file_is_used(phantom, finished, tmp_path, plugin):
    file = tmp_path / "plugin.yml"
    file.write_text(f"plugin: {plugin}\nplugin_args: {{n_procs: 1}}\n")
    run = run_app(
        phantom, finished.output_dir, "--use-plugin", str(file), "-v", work_dir=finished.work_dir
    )
    assert run.code == 0, run.stderr
    assert ("Running serially" in run.stdout) == (plugin == "Linear")


def test_the_first_crash_ends_the_run_when_asked_to(phantom, tmp_path):
    """That it does not when not asked to, is what test_bad_input.py is about."""
    shutil.copytree(phantom, tmp_path / "bids")
    pet = add_copy(tmp_path / "bids", "nan")["pet"]
    replace_voxels(pet, lambda voxels: np.full_like(voxels, np.nan))
    label = "--participant-label", "nan"
    run = run_app(tmp_path / "bids", tmp_path / "out", *label, "--stop-on-first-crash")
    assert run.code == 65
    assert len(run.lines_about("nan")) == 1
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "out" / "sub-nan" / "anat").exists()


def test_resources_are_recorded(finished):
    record = min((finished.output_dir / "logs").glob("*/resource_monitor.json"))
    values = json.loads(record.read_text("utf-8"))
    assert any(name.endswith("extract_brain") for name in values["name"])
    assert max(values["rss_GiB"]) > 0.01


def test_a_full_output_disk_leaves_only_whole_files(phantom, small_disk, tmp_path):
    run = run_app(phantom, small_disk / "out", work_dir=tmp_path / "work")
    assert run.code == 74
    assert len(run.lines_about("01")) <= 1
    assert "No space left on device" in run.stderr
    assert "Traceback" not in run.stderr
    written = check_readable(small_disk)
    assert unfinished(small_disk) == []
    resize(small_disk, "100m")
    again = run_app(phantom, small_disk / "out", work_dir=tmp_path / "work")
    assert again.code == 0, again.stderr
    assert check_readable(small_disk) > written
    ran, taken = (int(n) for n in again.stderr.splitlines()[-1].split() if n.isdigit())
    assert taken > 0 < ran


@pytest.mark.parametrize("size", ["100k", "3m"])
def test_a_full_work_disk_ends_with_a_line(phantom, small_disk, tmp_path, size):
    resize(small_disk, size)
    run = run_app(phantom, tmp_path / "out", work_dir=small_disk / "work")
    assert run.code == 74
    told = [line for line in run.stderr.splitlines() if "No space left on device" in line]
    assert len(told) == 1
    assert "Traceback" not in run.stderr
    check_readable(tmp_path / "out")


@pytest.mark.slow
def test_a_run_goes_on_when_the_work_disk_has_room_again(phantom, small_disk, tmp_path):
    resize(small_disk, "5m")
    assert run_app(phantom, tmp_path / "out", work_dir=small_disk / "work").code == 74
    resize(small_disk, "200m")
    run = run_app(phantom, tmp_path / "out", work_dir=small_disk / "work")
    assert run.code == 0, run.stderr
    assert check_readable(tmp_path / "out") == 12


def test_an_output_that_is_read_only(phantom, small_disk, tmp_path, capsys):
    (small_disk / "out" / "sub-01").mkdir(parents=True)
    resize(small_disk, "ro")
    for level in ("participant", "group"):
        options = ["-w", str(tmp_path / "work")]
        assert main([str(phantom), str(small_disk / "out"), level, *options]) == 73
        told = capsys.readouterr().err
        assert "cannot write to the output folder" in told
        assert told.count("\n") == 1


def interrupted(arguments: list[str], step: str, number: int, group: bool) -> tuple[int, str]:
    """Send a signal while `step` runs; exit code and stderr once every process has gone."""
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # tests that a shell runs in the background inherit that Ctrl-C is ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    told = []
    for line in process.stderr:
        told.append(line)
        if step in line:
            break
    (os.killpg if group else os.kill)(process.pid, number)
    told.append(process.communicate(timeout=30)[1])
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return process.returncode, "".join(told)


@pytest.mark.parametrize(
    ("number", "group", "step"),
    [(signal.SIGINT, True, "fuse average"), (signal.SIGTERM, False, "extract brain")],
)
def test_an_interrupted_run_ends_whole_and_goes_on_later(phantom, tmp_path, number, group, step):
    out, work = tmp_path / "out", tmp_path / "work"
    arguments = command(phantom, out, "participant", work, ())
    code, told = interrupted(arguments, step, number, group)
    assert code == 128 + number
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("fusionapp: interrupted")
    check_readable(out)
    assert unfinished(out) == []
    if number == signal.SIGINT:
        run = run_app(phantom, out, work_dir=work)
        assert run.code == 0, run.stderr
        assert "fusedAverage" in (out / "sub-01.html").read_text("utf-8")


def test_a_signal_before_the_workflow_runs_is_an_interruption(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("bids_app.run._analyse", lambda _: signal.raise_signal(signal.SIGTERM))
    assert main(["bids", "out", "participant"]) == 128 + signal.SIGTERM
    assert capsys.readouterr().err.startswith("fusionapp: interrupted")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_user_without_account_or_home_is_served(monkeypatch, capsys):
    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(RuntimeError):
        Path.home()
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert Path.home().is_dir()


@pytest.mark.parametrize(
    "arguments",
    [
        ["bids_app.run", "--help"],
        ["bids_app.run", "{raw}", "{raw}-out", "participant", "--dry-run"],
        ["fusionprep.cli", "models"],
        ["fusionprep.cli", "--help"],
    ],
)
def test_a_reader_that_leaves_ends_the_command_without_a_word(tmp_path, arguments):
    """As with ``| head``, which closes the pipe: here before anything is printed."""
    raw = write_dataset(tmp_path / "raw", *(t1w(subject=f"{n:03d}") for n in range(20)))
    module, *rest = (argument.format(raw=raw) for argument in arguments)
    code = f"import sys; from {module} import main; sys.exit(main(sys.argv[1:]))"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *rest],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writing)
    # argparse itself forgives that help is not read
    assert (done.stderr, done.returncode) in (("", 141), ("", 0 if "--help" in rest else 141))


def test_another_broken_pipe_is_not_hidden(capsys):
    def fail() -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        quietly(fail)
    assert quietly(lambda: 3) == 3
