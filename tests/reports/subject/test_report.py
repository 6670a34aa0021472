"""The subject report, on outputs as the participant level leaves them."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fusionprep.bids.types import ImageFile
from fusionprep.modalities import CT
from fusionprep.reports.records import (
    Scan,
    fused_title,
    model_name,
    model_version,
    read_subject,
)
from fusionprep.reports.subject.blocks import scan_block, show, without_paths
from fusionprep.reports.subject.report import write_participant_report
from tests.reports import outputs

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


class _Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str | None] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append(dict(attrs).get("src"))
        for name, value in attrs:
            if name in ("src", "href", "data", "action"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data):
        self.text += data


def _report(out: Path, subject: str, **options) -> _Page:
    path = write_participant_report(
        out, subject, run_uuid=outputs.RUN_UUID, version="0.1.0", **options
    )
    assert path == out / f"sub-{subject}.html"
    page = _Page(path)
    # Only the viewer's two files; a script that came with the data would have no address.
    assert all(src and src.endswith(("viewer.js", "viewer_data.js")) for src in page.scripts)
    assert not page.handlers
    for address in page.addresses:
        assert address.startswith(("#", "./")) or (out / address).is_file()
        if address.startswith("./"):
            assert (out / address).is_file()
    assert str(out) not in path.read_text()
    assert not re.search(r"url\(|@import|https?://", path.read_text())
    return page


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    # Words that look like entities in the folder's name must not confuse the assembler.
    root = tmp_path_factory.mktemp("out") / "study sub-99 v1"
    outputs.write_anatomy(root, "sub-01")
    outputs.write_pet(root, "sub-01_trc-18FFDG")
    outputs.write_figures(root, "01", "sub-01", ("sub-01_trc-18FFDG",))
    outputs.write_anatomy(root, "sub-02_ses-1", verdict="review")
    for entities in ("sub-02_ses-1", "sub-02_ses-10_run-01", "sub-02_ses-10_run-02"):
        outputs.write_pet(
            root,
            entities,
            t1w="sub-02_ses-1",
            verdict="fail" if entities.endswith("02") else "pass",
            models=("DenseFuse", "Average"),
        )
    outputs.write_figures(root, "02", "sub-02_ses-1", ("sub-02_ses-1", "sub-02_ses-10_run-02"))
    outputs.write_logs(root)
    return root


def test_sections_figures_and_values(out):
    page = _report(out, "01")
    for word in ("Summary", "Anatomical", "PET", "Methods", "About", "Errors"):
        assert f"#{word.lower()}" in page.addresses
    drawn = [address for address in page.addresses if address.endswith((".svg", ".jpg"))]
    assert len({Path(address).name for address in drawn}) == 7
    for words in (
        "DenseFuse",
        "MNI152NLin2009aSym_res-1",
        "same session",
        "0.41 before, 0.82 after",
        "11.2 mm",
        "1432 mL",
        "0.21",
        "yes: the noise is high",
        "No errors to report.",
        "PET and T1w images were fused with fusionprep <0.1>.",
        "Bq/mL",
        "Reference region pons: mean uptake 8123.5 Bq/mL in 900 voxels",
        "Only 90% of the reference region lies in the PET's field of view.",
        "29.5 to 59.5",
        "the middle of each is in the window",
        "chosen with --suvr-region",
        "The reference region may not lie where it should, and SUVR be wrong: the registration of",
        "1800 s",
        outputs.RUN_UUID,
    ):
        assert words in page.text


def test_sessions_and_several_pets_are_kept_apart(out):
    page = _report(out, "02")
    html = (out / "sub-02.html").read_text()
    groups = re.findall(r'<h3 class="group">(.*?)</h3>', html)
    groups = [re.sub(r"<[^>]+>", "", group) for group in groups]
    assert groups == ["session 1", "session 1", "session 10, run 1", "session 10, run 2"]
    assert page.text.count("please review") >= 2
    assert 'class="badge fail">fail' in html
    assert html.count('data="./sub-02/figures/sub-02_ses-10_run-02_desc-coreg_pet.svg"') == 1
    assert page.text.count("Reference region pons: mean uptake") == 2


def test_a_failed_subject_has_a_report_of_its_errors(out):
    logs = out / "logs" / outputs.RUN_UUID
    (logs / "crash-1.txt").write_text(
        "Node: fusionprep_wf.sub_03_wf.n4\nWorking directory: /scratch/me/work\n\n"
        'File "/opt/env/lib/x.py", line 3\nValueError: <b>bad</b>\n'
    )
    (logs / "crash-2.txt").write_text("Node: fusionprep_wf.sub_04_wf.n4\n\nother subject\n")
    page = _report(out, "03", errors=["sub-03: /data/in/sub-03_T1w.nii.gz is corrupt; copy it"])
    assert "…/sub-03_T1w.nii.gz is corrupt" in page.text
    assert "ValueError: <b>bad</b>" in page.text
    assert "other subject" not in page.text
    assert "/scratch" not in page.text
    assert "/opt" not in page.text
    assert "2 errors" in page.text


def test_hostile_words_are_shown_as_text(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-05", verdict=HOSTILE)
    outputs.write_pet(
        tmp_path,
        "sub-05",
        TracerName=HOSTILE,
        Units=[HOSTILE],
        FrameAveraging={"Frames": HOSTILE, "Weights": {"a": HOSTILE}},
        FrameSelection={"Reason": HOSTILE, "MinutesAfterInjection": [HOSTILE, 1]},
        Pairing={"T1w": HOSTILE, "Reason": HOSTILE, "DayGap": HOSTILE},
        Registration=HOSTILE,
    )
    figures = tmp_path / "sub-05" / "figures"
    figures.mkdir()
    (figures / "sub-05_desc-tissue_T1w\"onload='alert(1)'.svg").write_text("<svg/>")
    outputs.write_logs(tmp_path)
    (tmp_path / "logs" / "CITATION.md").write_text(f"# {HOSTILE}\n\n- {HOSTILE}\n\n{HOSTILE}")
    page = _report(tmp_path, "05", errors=[HOSTILE])
    assert "img" not in page.tags
    assert page.text.count("<script>alert('x')</script>") >= 6


def test_a_hostile_participant_label(tmp_path):
    page = _report(tmp_path, "<img src=x onerror=alert(1)>", errors=["nothing worked"])
    assert "img" not in page.tags
    assert "nothing worked" in page.text


def test_an_unreadable_sidecar_and_stale_blocks(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-06")
    outputs.write_pet(tmp_path, "sub-06_run-1")
    _report(tmp_path, "06")
    for path in (tmp_path / "sub-06" / "pet").glob("*"):
        path.unlink()
    (tmp_path / "sub-06" / "anat" / "sub-06_dseg.json").write_text("{")
    page = _report(tmp_path, "06")
    assert "sub-06_dseg.json" in page.text
    assert "#pet" not in page.addresses


def test_reports_leave_figures_as_they_are(out):
    figure = out / "sub-01" / "figures" / "sub-01_desc-tissue_T1w.svg"
    before = (figure.read_bytes(), figure.stat().st_mtime_ns)
    _report(out, "01")
    assert before == (figure.read_bytes(), figure.stat().st_mtime_ns)
    assert not list(out.rglob(".*"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read /home/me/a b.nii.gz", "cannot read …/a b.nii.gz"),
        ('File "/usr/lib/x/y.py", line 3', 'File "…/y.py", line 3'),
        ("bids:raw:sub-01/anat/sub-01_T1w.nii.gz", "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"),
        ("Bq/mL and 3/4", "Bq/mL and 3/4"),
    ],
)
def test_absolute_paths_are_shortened(text, shown):
    assert without_paths(text) == shown


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"Version": "1.0.0"}, "1.0.0"),
        ({"Version": "2.0", "WeightsFile": "a.safetensors"}, "2.0 (user's weights a.safetensors)"),
        (
            {"Version": None, "WeightsFile": "a.safetensors"},
            "unknown (user's weights a.safetensors)",
        ),
        ({}, None),
    ],
)
def test_own_weights_stand_beside_the_version(fields, shown):
    fused = ImageFile(Path("fused.nii.gz"), {}, "pet", {"FusionModel": fields})
    assert model_version(fused) == shown


def test_values_are_rounded_for_reading():
    assert show(0.123456) == "0.123"
    assert show(1800.0, unit="s") == "1800 s"
    assert show(10312.4) == "10312"
    assert show(["a", 2]) == "a, 2"
    assert "not recorded" in show(None)
    assert show(float("nan")) == "nan"


@pytest.mark.parametrize(("median", "told"), [(33.0, False), (1591.5, True), (None, False)])
def test_a_ct_in_another_unit_is_told(median, told):
    metadata = {"Quality": {"BrainMedianHU": median}}
    native = ImageFile(Path("ct.nii.gz"), {"space": "T1w", "desc": "preproc"}, "ct", metadata)
    block = scan_block(Scan({}, CT, native, {}, (), ()))
    assert ("another unit" in block) == told


def test_the_name_tells_the_model_where_no_sidecar_does(tmp_path):
    """The contrast was once taken for a part of the model's name."""
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01", models=("FLAIRAverage", "Average"))
    for path in (tmp_path / "sub-01" / "pet").glob("*_desc-fused*.json"):
        path.write_text("{}")
    (scan,) = read_subject(tmp_path, "01").scans()
    native = [fused for fused in scan.fused if fused.space == "T1w"]
    assert [model_name(fused) for fused in native] == ["Average", "Average"]
    assert [fused_title(fused) for fused in native] == ["Average", "Average with FLAIR"]


def test_an_image_of_a_model_that_this_version_does_not_know_is_left_out_and_named(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_pet(tmp_path, "sub-01", models=("Average", "Tomorrow"))
    record = read_subject(tmp_path, "01")
    (scan,) = record.scans()
    assert {model_name(fused) for fused in scan.fused} == {"Average"}
    assert any("fusedTomorrow_" in name for name in record.unknown)
    outputs.write_logs(tmp_path)
    page = write_participant_report(tmp_path, "01", run_uuid=outputs.RUN_UUID, version="0.1.0")
    assert "fusedTomorrow_pet.nii.gz" in page.read_text()


def test_options_that_only_a_later_version_knows_do_not_stop_a_report(tmp_path):
    """Reading them as options to run with refused the whole report."""
    outputs.write_anatomy(tmp_path, "sub-01")
    outputs.write_logs(tmp_path)
    options = tmp_path / "logs" / outputs.RUN_UUID / "fusionprep.toml"
    options.write_text('models = ["average"]\ntomorrow = 1\n\n[motion]\nframes = true\n')
    page = _report(tmp_path, "01")
    assert "tomorrow = 1" in page.text


def test_a_scan_without_entities_beside_others_and_runs_in_order(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-07")
    for entities in ("sub-07", "sub-07_run-10", "sub-07_run-2"):
        outputs.write_pet(tmp_path, entities)
    outputs.write_figures(tmp_path, "07", "sub-07", ("sub-07", "sub-07_run-10", "sub-07_run-2"))
    _report(tmp_path, "07")
    drawn = re.findall(
        r'data="\./sub-07/figures/(.*)_desc-coreg_pet', (tmp_path / "sub-07.html").read_text()
    )
    assert drawn == ["sub-07", "sub-07_run-2", "sub-07_run-10"]
