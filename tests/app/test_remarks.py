"""What the terminal says of finished images."""

from bids_app.remarks import remarks
from fusionprep.reports.records import read_subject
from tests.reports import outputs


def test_a_doubtful_reference_region_is_said(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01")
    told = [remark for _, remark in remarks(read_subject(tmp_path, "01"))]
    assert told == [
        "the reference region of SUVR may lie elsewhere: the registration of the T1w to the"
        " template has the verdict review"
    ]
