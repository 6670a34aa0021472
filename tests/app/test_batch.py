"""Nipype's plugins for Slurm: on stand-ins for its programs, and on a real one where there is."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bids_app.plugins.batch import check_plugin
from bids_app.plugins.commands import PROGRAMS, REASONS, job_name, reason, submit
from bids_app.plugins.plugin_file import ARGUMENTS, read_plugin_file
from bids_app.run import main
from fusionprep.demo.dataset import write_demo_dataset
from fusionprep.errors import UsageError
from tests.app import fake_slurm
from tests.app.runs import check_readable, corrupt, run_app, unfinished

SCRIPT = """
import json, os, sys
from pathlib import Path
from nipype import config
from nipype.interfaces import utility as niu
from nipype.pipeline import engine as pe
from bids_app.plugins.batch import new_plugin
from fusionprep.signals import endings
from bids_app.failures import read_failures
from bids_app.progress import Progress
from bids_app.plugins.commands import Pace

def first(value):
    import os, signal, time
    from fusionprep.errors import DataError
    if value == "wrong":
        raise DataError("x is wrong; do y")
    if value == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if value == "long":
        time.sleep(60)
    return value

def second(value):
    return value

work, value, name, sbatch_args = Path(sys.argv[1]), *sys.argv[2:]
crashes = work / "crashes"
config.update_config({"execution": {
    "crashdump_dir": str(crashes), "crashfile_format": "txt", "check_version": "false"}})
top = pe.Workflow(name="fusionprep_wf", base_dir=str(work))
for label, given in (("01", value), ("02", "fine")):
    subject = pe.Workflow(name=f"sub_{label}_wf")
    start = pe.Node(niu.Function(function=first), name="first")
    start.inputs.value = given
    subject.connect(start, "out", pe.Node(niu.Function(function=second), name="second"), "value")
    top.add_nodes([subject])
progress = Progress(2)
progress.expect(f"fusionprep_wf.{node}" for node in top.list_node_names())
plugin = new_plugin(
    name, {"status_callback": progress, "sbatch_args": sbatch_args, "max_tries": 0},
    Pace(seconds=0.1, patience=1.0))
raised = None
with endings(KeyboardInterrupt) as signals:
    plugin.signals = signals
    try:
        top.run(plugin=plugin)
    except (Exception, KeyboardInterrupt) as error:
        raised = f"{type(error).__name__}: {error}"
    finally:
        plugin.stop()
failures = [(f.subject, f.message) for f in read_failures(crashes)]
results = sorted(p.parent.parent.name for p in work.rglob("result_second.pklz"))
print(json.dumps([raised, failures, results, progress.executed, progress.cached]))
"""
BOTH = pytest.mark.parametrize("plugin", ["SLURM", "SLURMGraph"])


@dataclass(frozen=True)
class Cluster:
    """A small workflow on the stand-ins: two subjects of two steps each."""

    folder: Path

    def start(self, plugin: str, value: str, sbatch_args: str = "") -> subprocess.Popen[str]:
        script = self.folder / "run.py"
        script.write_text(SCRIPT)
        environment = {name: os.environ[name] for name in os.environ if name != "LOGNAME"}
        environment |= {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "NO_ET": "1",
            "NIPYPE_NO_ET": "1",
        }
        work = str(self.folder / "work")
        return subprocess.Popen(
            [sys.executable, str(script), work, value, plugin, sbatch_args],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def run(self, plugin: str, value: str, sbatch_args: str = "") -> list:
        process = self.start(plugin, value, sbatch_args)
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        return json.loads(stdout.splitlines()[-1])

    def jobs(self, kind: str) -> list[Path]:
        return list((self.folder / "bin" / "jobs").glob(f"*.{kind}"))


@pytest.fixture
def cluster(tmp_path) -> Cluster:
    fake_slurm.install(tmp_path / "bin")
    return Cluster(tmp_path)


@BOTH
def test_a_run_ends_after_its_last_job_and_its_repetition_needs_none(cluster, plugin):
    assert cluster.run(plugin, "fine", "--mem=1G") == [None, [], ["sub_01_wf", "sub_02_wf"], 4, 0]
    assert len(cluster.jobs("end")) == len(cluster.jobs("call")) == 4
    assert all("--mem=1G" in job.read_text() for job in cluster.jobs("call"))
    assert cluster.run(plugin, "fine") == [None, [], ["sub_01_wf", "sub_02_wf"], 0, 4]
    assert len(cluster.jobs("call")) == 4


@BOTH
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("wrong", "x is wrong; do y"),
        ("kill", "first: the batch system ended job "),
    ],
)
def test_a_failing_job_leaves_the_other_subject_alone(cluster, plugin, value, message):
    raised, failures, results, executed, cached = cluster.run(plugin, value)
    assert raised.startswith("RuntimeError")
    ((subject, found),) = failures
    assert subject == "sub-01"
    assert found.startswith(message)
    assert results == ["sub_02_wf"]
    assert (executed, cached) == (3, 0)
    # what waited for the failed job is not left in the queue
    deadline = time.monotonic() + 30
    while len(cluster.jobs("end")) < len(cluster.jobs("call")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = cluster.run(plugin, "fine")
    assert again[0] is None
    assert again[2] == ["sub_01_wf", "sub_02_wf"]


@BOTH
def test_an_interrupted_run_takes_its_jobs_from_the_queue(cluster, plugin):
    process = cluster.start(plugin, "long")
    while not cluster.jobs("running"):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert json.loads(stdout.splitlines()[-1])[0].startswith("KeyboardInterrupt"), stderr
    left = {job.stem for job in cluster.jobs("call")} - {job.stem for job in cluster.jobs("end")}
    assert left <= {job.stem for job in cluster.jobs("cancelled")}
    assert cluster.jobs("cancelled")


@BOTH
def test_slurm_that_gives_no_answer_is_waited_for(cluster, plugin):
    (cluster.folder / "bin" / "down").touch()
    assert cluster.run(plugin, "fine")[0] is None
    assert not (cluster.folder / "bin" / "down").exists()


@BOTH
def test_a_job_that_is_refused_is_one_clear_line(cluster, plugin):
    raised, failures, _, _, _ = cluster.run(plugin, "fine", "-p nowhere")
    assert raised.startswith("UsageError: ")
    assert "sbatch: error: invalid partition specified: nowhere; correct" in raised
    assert "\n" not in raised
    assert failures == []


@pytest.mark.parametrize("name", ["SLURM", "SLURMGraph", "PBS", "SGE", "LSF", "OAR", "Condor"])
def test_a_batch_system_that_is_not_there(phantom, tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "plugin.yml"
    file.write_text(f"plugin: {name}\n")
    options = ["-w", str(tmp_path / "work"), "--use-plugin", str(file)]
    assert main([str(phantom), str(tmp_path / "out"), "participant", *options]) == 64
    told = capsys.readouterr().err
    assert "not on the PATH" in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["plugin.yml"]


def test_the_examples_of_the_documentation_are_accepted(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "tasks" / "cluster.md").read_text("utf-8")
    names = []
    for number, example in enumerate(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)):
        file = tmp_path / f"{number}.yml"
        file.write_text(example)
        names.append(read_plugin_file(file)["plugin"])
    assert names == ["SLURM", "SLURMGraph", "PBS", "SGE"]


def test_every_batch_system_has_its_arguments():
    assert set(PROGRAMS) < set(ARGUMENTS)


@pytest.mark.parametrize("name", ["PBSGraph", "SGEGraph", "CondorDAGMan", "Debug", "slurm"])
def test_plugins_that_would_not_run_the_workflow_to_its_end(phantom, tmp_path, capsys, name):
    file = tmp_path / "plugin.yml"
    file.write_text(f"plugin: {name}\n")
    options = ["-w", str(tmp_path / "work"), "--use-plugin", str(file)]
    assert main([str(phantom), str(tmp_path / "out"), "participant", *options]) == 64
    assert "one of Linear, MultiProc" in capsys.readouterr().err


def test_a_work_directory_that_job_scripts_cannot_name(cluster, monkeypatch):
    monkeypatch.setenv("PATH", str(cluster.folder / "bin"))
    check_plugin("SLURM", Path("/scratch/me@site/work-1_2,a"))
    check_plugin("MultiProc", Path("/my work"))
    with pytest.raises(UsageError, match="' ' in its path"):
        check_plugin("SLURM", Path("/my work"))


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("slurmstepd: error: *** JOB 3 ON n CANCELLED AT x DUE TO TIME LIMIT ***", REASONS[0][1]),
        ("slurmstepd: error: Detected 1 oom-kill event(s) in StepId=3.batch", "lack of memory"),
        ("slurmstepd: error: *** JOB 3 ON n CANCELLED AT x ***", "scancel"),
        ("words", "without a result"),
        (None, "without a result"),
    ],
)
def test_why_a_job_was_ended(tmp_path, said, cause):
    output = tmp_path / "slurm-3.out"
    if said is not None:
        output.write_text(f"{said}\n")
    *before, last = reason("extract_brain", 3, output)
    assert last.startswith("fusionprep.errors.FusionPrepError: extract brain: the batch system")
    assert cause in last
    assert [line.strip() for line in before] == ([] if said is None else [said])


@pytest.mark.parametrize(
    ("system", "answer", "number", "name"),
    [
        ("PBS", "123.server.example", "123", "sub-01_extract_"),
        ("SGE", 'Your job 123 ("sub-01") has been submitted', "123", "sub-01_extract_brain"),
    ],
)
def test_how_qsub_is_called(tmp_path, monkeypatch, system, answer, number, name):
    program = tmp_path / "qsub"
    program.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/call\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    script = tmp_path / "batch" / "script.sh"
    found = submit(
        system, script, job_name("wf.sub_01_wf.anatomical_wf.extract_brain"), ["-q", "x"]
    )
    assert found == number
    folder = script.parent
    called = (tmp_path / "call").read_text().strip()
    assert called == f"-o {folder} -N {name} -e {folder} -q x {script}"


def test_an_answer_without_a_number_is_a_refusal(tmp_path, monkeypatch):
    program = tmp_path / "qsub"
    program.write_text("#!/bin/sh\necho 'qsub: Unknown queue.' >&2\nexit 170\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(UsageError, match="refuses the job: qsub: Unknown queue; correct"):
        submit("PBS", tmp_path / "script.sh", "name", [], tries=1, seconds=0.0)


@pytest.fixture(scope="session")
def three(tmp_path_factory) -> Path:
    """Three subjects at 3 mm; not to be changed."""
    folder = tmp_path_factory.mktemp("three") / "bids"
    write_demo_dataset(folder, voxel_size=3.0, subjects=("01", "02", "03"))
    return folder


def _slurm_is_up() -> bool:
    if not all(shutil.which(program) for program in ("sbatch", "squeue", "sinfo")):
        return False
    asked = subprocess.run(["sinfo", "-h"], capture_output=True, timeout=60, check=False)
    return asked.returncode == 0


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("damaged", [False, True])
def test_the_whole_app_on_a_real_slurm(three, tmp_path, plugin, damaged):
    if not _slurm_is_up():
        pytest.skip("no Slurm answers here: sbatch, squeue or sinfo is missing or fails")
    bids = shutil.copytree(three, tmp_path / "bids")
    if damaged:
        corrupt(bids / "sub-02" / "pet" / "sub-02_trc-18FFDG_pet.nii.gz", 20000, 2000)
    file = tmp_path / "plugin.yml"
    file.write_text(f"plugin: {plugin}\nplugin_args: {{sbatch_args: --mem=1500M --time=10}}\n")
    run = run_app(bids, tmp_path / "out", "--use-plugin", str(file))
    assert run.code == (65 if damaged else 0), run.stderr
    done = ("01", "03") if damaged else ("01", "02", "03")
    assert all(run.image(label, "fusedAverage").is_file() for label in done)
    assert check_readable(run.output_dir) > 0
    assert unfinished(run.output_dir) == []
    assert f"{len(done)} of 3 subjects finished without errors" in run.stdout
    report = (run.output_dir / "sub-02.html").read_text("utf-8")
    assert ("corrupt or not a NIfTI image" in report) == damaged
    again = run_app(bids, tmp_path / "out", "--use-plugin", str(file))
    assert again.code == run.code
    assert again.stderr.splitlines()[damaged * -1 - 1].startswith(f"{int(damaged)} steps ran, ")
