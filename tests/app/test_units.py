"""What the App says of a CT without Hounsfield units."""

from types import SimpleNamespace

import numpy as np
import pytest

from bids_app.remarks import tell_results
from fusionprep.bids.types import SubjectPlan
from fusionprep.image.io import new_image
from fusionprep.reports.records import read_subject
from fusionprep.reports.subject.blocks import scan_block
from tests.reports.outputs import write_image

DOUBT = "the CT holds gray levels of a window, 0 to 255, not Hounsfield units"


@pytest.fixture
def out(tmp_path):
    image = new_image(np.zeros((4, 4, 4), np.float32), np.eye(4))
    for label, fields in (
        ("01", {"Registration": {"Verdict": "review", "VerdictReason": DOUBT}}),
        ("02", {"Registration": {"Verdict": "pass", "VerdictReason": "fine"}, "Units": "HU"}),
    ):
        prefix = tmp_path / f"sub-{label}" / "ct" / f"sub-{label}_space-T1w_desc-preproc_ct"
        prefix.parent.mkdir(parents=True)
        write_image(prefix, image, StoredUnits=f"units of sub-{label}", **fields)
    return tmp_path


def test_the_terminal_says_why_a_ct_has_no_units(out, capsys):
    plans = [SubjectPlan(label) for label in ("01", "02")]
    tell_results(SimpleNamespace(output_dir=out), plans)
    assert capsys.readouterr().err == f"warning: sub-01: CT: review: {DOUBT}\n"


def test_the_report_says_so_and_what_was_stored(out):
    block = scan_block(read_subject(out, "01").scans()[0])
    assert DOUBT in block
    assert "units of sub-01" in block
