"""Runs of small workflows in a process of their own, which must end."""

import json
import os
import subprocess
import sys
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import pytest

from bids_app.plugins.local import Workers

SCRIPT = """
import json, os, signal, sys
from nipype import config
from nipype.interfaces import utility as niu
from nipype.interfaces.base import BaseInterfaceInputSpec, SimpleInterface, TraitedSpec, traits
from nipype.pipeline import engine as pe
from bids_app.failures import read_failures
from bids_app.plugins.local import Workers
from bids_app.progress import Progress
from concurrent.futures import Future
from functools import partial
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
    import os, signal, sys
    if value == "exit":
        os._exit(1)
    if value == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if value == "system-exit":
        sys.exit(3)
    return value

work = Path(sys.argv[1])
crashes = work / "crashes"
config.update_config({"execution": {
    "crashdump_dir": str(crashes), "crashfile_format": "txt", "poll_sleep_duration": "0.02",
    "check_version": "false"}})
top = pe.Workflow(name="fusionprep_wf", base_dir=str(work))
for label, value in (("01", sys.argv[2]), ("02", "fine")):
    subject = pe.Workflow(name=f"sub_{label}_wf")
    start = pe.Node(niu.Function(function=first), name="first")
    start.inputs.value = value
    subject.connect(start, "out", pe.Node(Choosy(), name="second"), "value")
    top.add_nodes([subject])
progress = Progress(4, open(os.devnull, "w"))
plugin = Workers({
    "n_procs": int(sys.argv[3]), "raise_insufficient": False, "status_callback": progress})
raised = None
try:
    top.run(plugin=plugin)
except Exception as error:
    raised = type(error).__name__
failures = [(f.subject, f.message) for f in read_failures(crashes)]
results = sorted(p.parent.parent.name for p in work.rglob("result_second.pklz"))
print(json.dumps([raised, failures, results, progress.executed, progress.cached]))
"""


@pytest.fixture
def run(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)

    def run(value: str, n_procs: int = 2):
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, str(script), str(tmp_path / "work"), value, str(n_procs)],
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
    assert run("fine") == [None, [], ["sub_01_wf", "sub_02_wf"], 4, 0]
    assert run("fine") == [None, [], ["sub_01_wf", "sub_02_wf"], 0, 4]


@pytest.mark.parametrize("value", ["exit", "kill"])
def test_a_worker_that_is_killed_ends_the_run(run, value):
    raised, failures, _, _, _ = run(value)
    assert raised is not None
    assert ["sub-01", "first"] in [[subject, text.split()[0]] for subject, text in failures]
    for _, message in failures:
        assert "a worker was killed, most likely for lack of memory" in message


def test_other_subjects_go_on_in_new_workers(run):
    _, failures, results, _, _ = run("kill", n_procs=1)
    assert {subject for subject, _ in failures} == {"sub-01"}
    assert results == ["sub_02_wf"]


def test_a_run_goes_on_after_its_worker_was_killed(run):
    run("kill")
    raised, _, results, _, _ = run("fine")
    assert raised is None
    assert results == ["sub_01_wf", "sub_02_wf"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("late", "x is wrong; do y"),
        ("system-exit", "first failed: SystemExit: 3"),
        ("wrong", "second failed: traits.trait_errors.TraitError: The 'value' trait of "),
    ],
)
def test_a_failing_node_leaves_the_other_subject_alone(run, value, message):
    raised, failures, results, _, _ = run(value)
    assert raised == "RuntimeError"
    ((subject, found),) = failures
    assert subject == "sub-01"
    assert found.startswith(message)
    assert "sub_02_wf" in results


def test_inputs_that_no_longer_fit_leave_the_other_subject_alone(run):
    """Nipype finds out in the main process, because there are results of an earlier run."""
    run("fine")
    raised, failures, _, executed, _ = run("wrong")
    assert raised == "RuntimeError"
    ((subject, found),) = failures
    assert subject == "sub-01"
    assert "TraitError" in found
    assert executed == 2  # the first step again, and the one that failed


def test_a_step_that_is_cancelled_when_the_run_ends_says_nothing(caplog):
    workers = Workers({"n_procs": 1, "status_callback": lambda *_: None})
    try:
        waiting = Future()
        waiting.add_done_callback(partial(workers._take_result, 1))
        waiting.cancel()
        assert not caplog.records
        assert not workers._taskresult
    finally:
        workers.stop()
