"""The group table and page, from outputs alone."""

import json
import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from fusionprep.errors import NoInputError
from fusionprep.reports.group import tissue_means, write_group_report
from tests.reports import outputs


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    outputs.write_anatomy(out, "sub-01")
    outputs.write_pet(out, "sub-01_trc-18FFDG_rec-acdyn_run-1", models=("DenseFuse", "Average"))
    outputs.write_anatomy(out, "sub-02_ses-d0129", verdict="review")
    outputs.write_pet(
        out,
        "sub-02_ses-d0423",
        verdict="fail",
        t1w="sub-02_ses-d0129",
        TracerName=None,
        Pairing={
            "T1w": "bids:raw:sub-02/ses-d0129/anat/sub-02_ses-d0129_T1w.nii.gz",
            "Reason": "nearest\tsession",
            "DayGap": 294,
        },
    )
    (out / "sub-03.html").write_text("<p>failed</p>")
    (out / "sub-02.html").write_text("<p>report</p>")
    outputs.write_anatomy(out, "sub-04")
    summary = write_group_report(out)
    table = pd.read_csv(summary.tsv, sep="\t", dtype=str, keep_default_na=False)
    return out, summary, table


def test_one_row_for_each_fused_image(written):
    out, summary, table = written
    assert (summary.n_participants, summary.n_rows) == (4, 6)
    assert len(table) == 6
    assert list(table.participant_id) == ["sub-01"] * 4 + ["sub-02"] * 2
    assert set(table.model) == {"DenseFuse", "Average"}
    assert all((out / name).is_file() for name in table.fused_file)
    assert not table.fused_file.str.contains("Color").any()


def test_values_and_missing_values(written):
    _, _, table = written
    first = table[(table.space == "T1w") & (table.participant_id == "sub-01")].iloc[0]
    assert (first.tracer, first.reconstruction, first.run) == ("18FFDG", "acdyn", "1")
    assert first.session_id == "n/a"
    assert first.template_gm_dice == "n/a"
    assert (first.mi_before, first.mi_after, first.day_gap) == ("0.41", "0.82", "0")
    assert first.verdict == "pass"
    assert float(first.brain_volume) == 1432.25
    second = table[(table.space != "T1w") & (table.participant_id == "sub-02")].iloc[0]
    assert second.session_id == "ses-d0423"
    assert second.tracer == "n/a"
    assert second.pairing_reason == "nearest session"
    assert second.day_gap == "294"
    assert (second.registration_verdict, second.template_verdict) == ("fail", "review")
    assert second.verdict == "fail"
    # The T1w lies in another session than the PET: found by the recorded pairing.
    assert float(second.gm_volume) == 701.5
    assert float(second.template_gm_dice) == 0.81


def test_uptake_is_measured_in_the_tissues(written):
    _, _, table = written
    data = outputs.brain()
    pet, dseg = data["pet"].get_fdata(), data["dseg"].get_fdata()
    grey, white = pet[dseg == 1].mean(), pet[dseg == 2].mean()
    row = table.iloc[0]
    assert float(row.suvr_gm) == pytest.approx(grey, rel=1e-4)
    assert float(row.suvr_wm) == pytest.approx(white, rel=1e-4)
    assert float(row.gm_wm_ratio) == pytest.approx(grey / white, rel=1e-4)


def test_uptake_on_another_grid_is_not_measured(tmp_path):
    for name, size in (("pet", 4), ("dseg", 5)):
        image = nib.Nifti1Image(np.ones((size,) * 3, np.float32), np.eye(4))
        image.to_filename(tmp_path / f"{name}.nii.gz")
    assert tissue_means(tmp_path / "pet.nii.gz", tmp_path / "dseg.nii.gz") == (None, None)


def test_every_column_is_described(written):
    _, summary, table = written
    described = json.loads(summary.json.read_text())
    assert list(described) == list(table.columns)
    for column in described.values():
        assert column["Description"]
        assert set(column) <= {"Description", "Units", "Levels"}


def test_page_puts_failures_first_and_names_the_incomplete(written):
    _, summary, _ = written
    html = summary.html.read_text()
    flags = re.findall(r'<tr class="flag-(\w+)">', html)
    assert flags == ["fail"] * 2 + ["pass"] * 4 + ["fail"] * 2
    incomplete = html.split('id="incomplete"')[1]
    assert 'href="sub-03.html"' in incomplete
    assert "sub-04" in incomplete
    assert 'href="sub-02.html"' in html
    assert 'href="sub-01.html"' not in html
    assert "<script" not in html
    assert not re.search(r"https?://|url\(", html)


def test_hostile_words_are_shown_as_text(tmp_path):
    hostile = "<script>alert(1)</script>"
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(
        tmp_path,
        "sub-01",
        TracerName=f"{hostile}\n\t",
        Pairing={"T1w": hostile, "Reason": ["x"], "DayGap": True},
        Registration=[hostile],
    )
    (tmp_path / "sub-<img src=x onerror=alert(1)>").mkdir()
    summary = write_group_report(tmp_path)
    html = summary.html.read_text()
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert pd.read_csv(summary.tsv, sep="\t").shape[0] == 2


def test_an_unreadable_sidecar_spares_the_other_participants(tmp_path):
    for label in ("01", "02"):
        outputs.write_anatomy(tmp_path, f"sub-{label}")
        outputs.write_pet(tmp_path, f"sub-{label}")
    broken = next((tmp_path / "sub-01" / "pet").glob("*space-T1w_desc-preproc_pet.json"))
    broken.write_text("{")
    summary = write_group_report(tmp_path)
    assert summary.n_rows == 4
    assert broken.name in summary.html.read_text().split('id="incomplete"')[1]


def test_nothing_found_is_an_error(tmp_path):
    with pytest.raises(NoInputError, match=r"sub-\*"):
        write_group_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_same_outputs_give_the_same_bytes(written):
    out, summary, _ = written
    before = [path.read_bytes() for path in (summary.tsv, summary.json, summary.html)]
    again = write_group_report(out)
    assert before == [path.read_bytes() for path in (again.tsv, again.json, again.html)]
