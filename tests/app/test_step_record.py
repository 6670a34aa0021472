"""What steps take, as it is measured and as it is written down."""

import sys

import numpy as np
import pytest

from bids_app.plugins.usage import Meter, Usage
from bids_app.step_record import MAIN, STEPS, StepRecord, StepUsage, read_steps

GB = 1e9


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_each_reading_has_its_own_peak():
    meter = Meter(with_children=True)
    # of what this process did before
    meter.reading()
    before = meter.reading().peak_gb
    held = np.ones(int(0.4 * GB / 8))
    del held
    large, after = meter.reading().peak_gb, meter.reading().peak_gb
    assert large > before + 0.35
    assert after < large - 0.35


def test_readings_add_up_to_the_time_of_the_process():
    meter = Meter(with_children=True)
    first, second = meter.reading(), meter.reading()
    assert first.cpu_s > 0
    assert second.cpu_s >= 0
    # the first includes what the process took before there was a meter
    assert first.cpu_s > first.wall_s


def test_what_was_recorded_is_read(tmp_path):
    record = StepRecord(tmp_path)
    usage = Usage(1.23456, 2.0, 0.5)
    name = "fusionprep_0_1_wf.sub_01_wf.anatomical_acq_x_wf.brain"
    record.step(name, "ExtractBrain", usage, failed=True)
    record.main_process("01")
    step, main = read_steps(tmp_path / STEPS)
    assert step == StepUsage(
        "sub-01", "anatomical_acq_x.brain", "ExtractBrain", 1.2346, 2.0, 0.5, True
    )
    assert (main.subject, main.step, main.interface) == ("sub-01", MAIN, "")


def test_a_record_that_cannot_be_written_is_told_once(tmp_path, capsys):
    record = StepRecord(tmp_path / "gone")
    record.main_process("01")
    record.main_process("02")
    assert capsys.readouterr().err.count("warning: cannot record steps") == 1


def test_a_line_of_something_else_is_refused(tmp_path):
    path = tmp_path / STEPS
    path.write_text('{"step": 1}\n')
    with pytest.raises(ValueError, match="line 1"):
        list(read_steps(path))
