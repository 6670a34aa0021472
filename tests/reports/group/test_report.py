"""The group table and page, from outputs alone."""

import json
import re

import pandas as pd
import pytest

from fusionprep.errors import NoInputError
from fusionprep.reports.group.report import write_group_report
from tests.reports import outputs
from tests.reports.group.cohort import MODELS, write_cohort

QUALITY = {
    "GMMean": 12185.19,
    "WMMean": 4061.73,
    "GMWMRatio": 3.0,
    "GMWMContrast": 0.5,
    "Noise": 0.125,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    outputs.write_anatomy(out, "sub-01")
    outputs.write_pet(
        out, "sub-01_trc-18FFDG_rec-acdyn_run-1", models=("DenseFuse", "Average"), Quality=QUALITY
    )
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
    assert (first.t1w_noise, first.t1w_denoised) == ("0.21", "true")
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
    assert float(second.template_displacement) == 1.2


def test_uptake_comes_from_the_sidecars(written):
    _, _, table = written
    row = table.iloc[0]
    # The reference of the SUVR is 8123.46.
    assert float(row.suvr_gm) == pytest.approx(1.5, rel=1e-5)
    assert float(row.suvr_wm) == pytest.approx(0.5, rel=1e-5)
    assert (row.gm_wm_ratio, row.gm_wm_contrast, row.pet_noise) == ("3", "0.5", "0.125")
    assert table.iloc[-1].suvr_gm == "n/a"


def test_frames_and_reference_region_have_columns(written):
    _, _, table = written
    row = table.iloc[0]
    assert (row.frames_used, row.frames_start, row.frames_end) == ("6", "29.5", "59.5")
    assert row.frames_reason == "the middle of each is in the window"
    assert (row.suvr_region, row.suvr_region_reason) == ("pons", "chosen with --suvr-region")
    assert "verdict review" in row.suvr_region_doubt


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
    scans = html.split('id="scan-table"')[1].split("</table>")[0]
    assert re.findall(r'<tr class="flag-(\w+)"', scans) == ["fail", "pass"]
    incomplete = html.split('id="incomplete"')[1].split("</table>")[0]
    assert 'href="sub-03.html"' in incomplete
    assert "sub-04" in incomplete
    assert 'href="sub-02.html"' in html
    assert 'href="sub-01.html"' not in html
    assert not re.search(r"(src|href)=\"?(https?:)?//", html)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("cohort")
    write_cohort(out)
    summary = write_group_report(out)
    return out, summary, pd.read_csv(summary.tsv, sep="\t", dtype=str, keep_default_na=False)


def test_a_planted_bad_registration_is_the_first_to_look_at(cohort):
    _, summary, table = cohort
    first = summary.html.read_text().split('class="first"')[1].split("</li>")[0]
    assert 'href="sub-07.html">sub-07</a>' in first
    assert '<span class="badge fail">fail</span>' in first
    assert "Uncertainty <strong>11.4</strong> mm" in first
    assert 'src="sub-07/figures/sub-07_trc-FDG_space-T1w_desc-thumbReadFuse_pet.png"' in first
    bad = table[(table.participant_id == "sub-07")]
    assert set(bad.verdict) == {"fail"}
    for column in ("uncertainty", "brain_overlap", "gm_wm_ratio", "metric_MI"):
        assert bad.outlier.str.split(" ").map(lambda names, c=column: c in names).all()
    assert set(table[table.participant_id != "sub-07"].verdict) == {"pass"}


def test_fusion_metrics_run_time_and_software_have_columns(cohort):
    _, summary, table = cohort
    described = json.loads(summary.json.read_text())
    assert list(described) == list(table.columns)
    assert "Qu, Zhang & Yan" in described["metric_MI"]["Description"]
    assert "metric_Slices" not in table
    row = table[(table.participant_id == "sub-02") & (table.space == "T1w")].iloc[0]
    sidecar = json.loads((cohort[0] / row.fused_file.replace(".nii.gz", ".json")).read_text())
    assert float(row.metric_MI) == pytest.approx(sidecar["FusionMetrics"]["MI"], rel=1e-5)
    assert float(row.run_time) == pytest.approx(sidecar["FusionModel"]["RunTimeSeconds"], rel=1e-5)
    assert row.software == "fusionprep 0.1.0"
    assert set(table.excluded) == {"false"}


def test_failed_scans_are_no_part_of_cohort_images_and_comparison(cohort):
    _, summary, _ = cohort
    html = summary.html.read_text()
    for model in MODELS:
        assert f"<strong>PET FDG, {model}</strong>, MNI152NLin2009aSym_res-1: 19 scans" in html
    assert "the 19 scans with all models" in html


def test_missing_thumbnails_and_planes_are_tolerated(cohort, tmp_path):
    write_cohort(tmp_path, 3, bad=None)
    for picture in tmp_path.glob("sub-0[12]/figures/*.png"):
        picture.unlink()
    broken = next((tmp_path / "sub-03" / "figures").glob("*planesReadFuse_pet.png"))
    broken.write_bytes(b"no picture")
    html = write_group_report(tmp_path).html.read_text()
    assert html.count('<div class="none">no thumbnail</div>') >= 3
    assert "PET FDG, ReadFuse" not in html.split('id="cohort"')[1].split('id="models"')[0]
    assert "PET FDG, Average</strong>, MNI152NLin2009aSym_res-1: 1 scan<" in html


def test_errors_of_the_subject_report_or_else_crashes_are_told(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    figures = tmp_path / "sub-01" / "figures"
    figures.mkdir()
    told = (
        '<p class="alert">the PET has &lt;no&gt; units; add them</p><details><summary>n4</summary>'
    )
    (figures / "sub-01_desc-errors_T1w.html").write_text(told)
    (tmp_path / "sub-02").mkdir()
    crashes = {"01": ["not told"], "02": ["n4 failed: /secret/place/x.nii.gz is corrupt"]}
    html = write_group_report(tmp_path, crashes=crashes).html.read_text()
    incomplete = html.split('id="incomplete"')[1].split("</table>")[0]
    assert "the PET has &lt;no&gt; units; add them" in incomplete
    assert "not told" not in incomplete
    assert "…/x.nii.gz is corrupt" in incomplete


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
    (tmp_path / "participants.tsv").write_text(f"participant_id\t{hostile}\nsub-01\t{hostile}\n")
    summary = write_group_report(tmp_path)
    html = summary.html.read_text()
    assert "<script>alert" not in html
    assert "<img src=x" not in html
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


def test_the_table_tells_a_t1w_from_a_flair_fusion(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01", models=("Average", "FLAIRAverage", "GMPET"))
    for path in (tmp_path / "sub-01" / "pet").glob("*_desc-fusedFLAIRAverage_pet.json"):
        path.write_text(json.dumps({"FusionModel": {"Label": "Average"}}))
    summary = write_group_report(tmp_path)
    table = pd.read_csv(summary.tsv, sep="\t", dtype=str, keep_default_na=False)
    rows = table[table.space == "T1w"]
    assert set(zip(rows.model, rows.contrast, strict=True)) == {
        ("Average", "T1w"),
        ("Average", "FLAIR"),
        ("GMPET", "T1w"),
    }
    levels = json.loads(summary.json.read_text())["contrast"]["Levels"]
    assert list(levels) == ["T1w", "FLAIR", "T2w"]
