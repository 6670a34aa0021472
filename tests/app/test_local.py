"""Runs of small workflows in a process of their own, which must end."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest
from nipype.interfaces.utility import IdentityInterface
from nipype.pipeline import engine as pe

from bids_app.plugins.local import SubjectSteps, expand

SCRIPT = """
import json, os, sys
from nipype import config
from nipype.interfaces import utility as niu
from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, traits
from nipype.pipeline import engine as pe
from bids_app.failures import read_failures
from bids_app.plugins.local import LocalRun, Subject, expand
from bids_app.plugins.pool import Pool
from bids_app.plugins.workers import Settings
from bids_app.progress import Progress
from bids_app.step_record import StepRecord, read_steps
from pathlib import Path

class _In(BaseInterfaceInputSpec):
    value = traits.Enum("fine", "late", mandatory=True)

class _Out(TraitedSpec):
    out = traits.Str()

class Choosy(SimpleInterface):
    input_spec, output_spec = _In, _Out

    def _run_interface(self, runtime):
        if self.inputs.value == "late":
            from fusionprep.errors import DataError
            raise DataError("x is wrong; do y")
        self._results["out"] = self.inputs.value
        return runtime

def first(value):
    import os, signal, sys, time
    from pathlib import Path
    # beside the folder that Nipype makes again for each try
    tries = Path.cwd().parent / f"tries-{os.getpid()}"
    tries.touch()
    if value == "exit":
        os._exit(1)
    if value == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if value == "once" and len(list(tries.parent.glob("tries-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if value == "system-exit":
        sys.exit(3)
    if value == "slow":
        time.sleep(1)
        return "fine"
    return "fine" if value == "once" else value

work, values, n_procs = Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])
crashes = work / "crashes"
config.update_config({"execution": {
    "crashdump_dir": str(crashes), "crashfile_format": "txt", "check_version": "false",
    "create_report": "false"}})
log = []

def subject(label, value):
    def build():
        log.append(f"build {label}")
        top = pe.Workflow(name="fusionprep_wf", base_dir=str(work))
        workflow = pe.Workflow(name=f"sub_{label}_wf")
        start = pe.Node(niu.Function(function=first), name="first")
        start.inputs.value = value
        workflow.connect(start, "out", pe.Node(Choosy(), name="second"), "value")
        top.add_nodes([workflow])
        return expand(top)
    return Subject(build, lambda steps: log.append(f"finish {label}"))

progress = Progress(len(values), open(os.devnull, "w"))
work.mkdir(exist_ok=True)
pool = Pool(n_procs, 8.0, Settings.of_this_process(str(work), 1))
subjects = [subject(f"{number:02d}", value) for number, value in enumerate(values, 1)]
try:
    LocalRun(iter(subjects), pool, progress, record=StepRecord(work)).run()
finally:
    pool.stop()
failures = [(f.subject, f.message) for f in read_failures(crashes)]
results = sorted(p.parent.parent.name for p in work.rglob("result_second.pklz"))
folders = sorted((work / "fusionprep_wf").glob("sub*"))
tries = {folder.name: len(list(folder.glob("tries-*"))) for folder in folders}
steps = work / "steps.jsonl"
recorded = [vars(step) for step in read_steps(steps)] if steps.exists() else []
print(json.dumps({"recorded": recorded, "failures": failures, "results": results,
    "executed": progress.executed, "cached": progress.cached, "finished": progress.finished,
    "tries": tries, "log": log}))
"""


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)

    def run(*values: str, n_procs: int = 2):
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path / "work"), ",".join(values), str(n_procs)],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env={**os.environ, "NO_ET": "1", "NIPYPE_NO_ET": "1", "PYTHONPATH": str(root)},
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_a_run_without_failures_and_its_repetition(run):
    both = ["sub_01_wf", "sub_02_wf"]
    first = run("fine", "fine")
    assert (first["failures"], first["results"], first["finished"]) == ([], both, 2)
    assert (first["executed"], first["cached"]) == (4, 0)
    second = run("fine", "fine")
    assert (second["failures"], second["results"], second["finished"]) == ([], both, 2)
    assert (second["executed"], second["cached"]) == (0, 4)


def test_each_step_that_ends_is_recorded_once(run):
    done = run("fine", "wrong", "once", n_procs=1)
    found = [
        (step["subject"], step["step"], step["interface"], step["failed"])
        for step in done["recorded"]
    ]
    assert found == [
        ("sub-01", "first", "Function", False),
        ("sub-01", "second", "Choosy", False),
        ("sub-02", "first", "Function", False),
        ("sub-02", "second", "Choosy", True),
        ("sub-03", "first", "Function", False),
        ("sub-03", "second", "Choosy", False),
    ]
    assert all(step["cpu_s"] >= 0 and step["wall_s"] >= 0 for step in done["recorded"])


@pytest.mark.parametrize("n_procs", [1, 2])
def test_no_more_subjects_are_open_than_processors_can_serve(run, n_procs):
    """One more may be built while the report of the one before it is being written."""
    open_subjects, most = set(), 0
    for line in run("fine", "slow", "fine", "fine", "fine", n_procs=n_procs)["log"]:
        what, label = line.split()
        (open_subjects.add if what == "build" else open_subjects.remove)(label)
        most = max(most, len(open_subjects))
    assert (most, open_subjects) == (n_procs + 1, set())


@pytest.mark.parametrize("n_procs", [1, 2])
def test_a_killed_step_runs_once_more_and_then_fails_alone(run, n_procs):
    done = run("fine", "kill", "slow", "fine", n_procs=n_procs)
    ((subject, message),) = done["failures"]
    assert subject == "sub-02"
    assert message.startswith("first failed: killed twice, ")
    assert "more memory" in message
    assert done["results"] == ["sub_01_wf", "sub_03_wf", "sub_04_wf"]
    assert done["tries"] == {"sub_01_wf": 1, "sub_02_wf": 2, "sub_03_wf": 1, "sub_04_wf": 1}


def test_a_step_that_was_killed_once_is_no_failure(run):
    done = run("fine", "once", "fine")
    assert (done["failures"], done["finished"]) == ([], 3)
    assert done["tries"]["sub_02_wf"] == 2


def test_a_process_that_ends_by_itself_is_told_with_its_exit_code(run):
    ((_, message),) = run("exit", "fine")["failures"]
    assert message.startswith("first failed: ChildProcessError: its process ended twice (exit code")


def test_a_run_goes_on_after_its_step_was_killed(run):
    run("kill", "fine")
    done = run("fine", "fine")
    assert (done["results"], done["finished"]) == (["sub_01_wf", "sub_02_wf"], 2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("late", "x is wrong; do y"),
        ("system-exit", "first failed: SystemExit: 3"),
        ("wrong", "second failed: traits.trait_errors.TraitError: The 'value' trait of "),
    ],
)
def test_a_failing_node_leaves_the_other_subject_alone(run, value, message):
    done = run(value, "fine")
    ((subject, found),) = done["failures"]
    assert subject == "sub-01"
    assert found.startswith(message)
    assert "sub_02_wf" in done["results"]
    assert done["finished"] == 1


def test_inputs_that_no_longer_fit_leave_the_other_subject_alone(run):
    """Nipype finds out in the main process, because there are results of an earlier run."""
    run("fine", "fine")
    done = run("wrong", "fine")
    ((subject, found),) = done["failures"]
    assert subject == "sub-01"
    assert "TraitError" in found
    assert done["executed"] == 2  # the first step again, and the one that failed


def test_a_step_that_others_wait_for_comes_before_those_that_nothing_waits_for():
    steps = SubjectSteps(
        nx.DiGraph([("a", "write"), ("a", "register"), ("register", "fuse"), ("fuse", "plot")])
    )
    order = []
    while not steps.ended:
        node = steps.ready[0]
        steps.start(node)
        order.append(node)
        steps.end(node)
    assert order == ["a", "register", "fuse", "write", "plot"]


def test_nothing_of_nipype_is_left_over_of_subjects_that_are_done(tmp_path):
    def handlers() -> int:
        gc.collect()
        names = (type(item).__name__ for item in gc.get_objects())
        return sum(name == "NotificationExceptionHandlerState" for name in names)

    for number in range(3):
        workflow = pe.Workflow(name=f"sub_{number}_wf", base_dir=str(tmp_path))
        workflow.add_nodes([pe.Node(IdentityInterface(["a"]), name=f"step_{i}") for i in range(9)])
        expand(workflow)
        assert handlers() <= 2
