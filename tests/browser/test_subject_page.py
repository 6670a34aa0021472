"""The subject report in a browser, opened from a disk without a network."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fusionprep.reports.subject import viewer
from fusionprep.reports.subject.report import write_participant_report
from tests.reports import outputs

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
LONG_WORD, LONG_TEXT = "W" * 200, ("many words " * 20)[:200]
LONG_NAME = f"sub-{'0' * 30}_ses-{'L' * 40}"
PET = "sub-01_ses-1_trc-18FFDG"
NO_WEBGL = """
const original = HTMLCanvasElement.prototype.getContext
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return String(kind).startsWith('webgl') ? null : original.call(this, kind, ...rest)
}
"""

needs_bundle = pytest.mark.skipif(
    not (viewer.BUNDLES / "viewer.js").is_file(),
    reason="the viewer's bundle was not built: make web, needs npm",
)


def _report(out: Path, label: str) -> Path:
    return write_participant_report(out, label, run_uuid=outputs.RUN_UUID, version="0.1.0")


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """Two sessions with a T1w each, PET with two models in the first, one PET in the second."""
    root = tmp_path_factory.mktemp("out")
    outputs.write_anatomy(root, "sub-01_ses-1")
    outputs.write_anatomy(root, "sub-01_ses-2")
    quality = {"GMMean": 3.1, "WMMean": 1.2, "GMWMRatio": 2.6, "GMWMContrast": 0.4, "Noise": 0.1}
    outputs.write_pet(
        root, PET, t1w="sub-01_ses-1", models=("ReadFuse", "Average"), Quality=quality
    )
    outputs.write_pet(root, "sub-01_ses-2")
    for sidecar in (root / "sub-01" / "ses-1" / "pet").glob("*desc-fused*_pet.json"):
        metadata = json.loads(sidecar.read_text())
        metrics = {"Planes": "axial", "Slices": 8, "MI": 3.2, "Qabf": 0.6, "EN": 5.1, "Nabf": 0.01}
        sidecar.write_text(json.dumps({**metadata, "FusionMetrics": metrics}))
    outputs.write_figures(root, "01", "sub-01_ses-1", (PET,))
    outputs.write_logs(root)
    _report(root, "01")
    return root


@pytest.fixture
def opened(out, visit):
    """The page of the subject once its viewer has drawn the first images."""
    visited = visit(out / "sub-01.html", width=1400)
    _ready(visited.page)
    return visited


def _ready(page) -> None:
    page.wait_for_function("document.getElementById('viewer-position').textContent !== ''")


def _pixels(page) -> np.ndarray:
    """What the canvas shows, (rows, columns, 3)."""
    from PIL import Image

    picture = page.locator("#viewer-canvas").screenshot()
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def _position(page) -> str:
    return page.locator("#viewer-position").text_content()


@needs_bundle
def test_the_viewer_draws_without_a_network(opened):
    drawn = _pixels(opened.page)
    assert drawn.std() > 20
    # inferno over gray: the PET is seen in colour
    assert (drawn[..., 0] - drawn[..., 2]).max() > 60
    assert opened.page.locator("#viewer-missing").is_hidden()
    assert opened.errors == []
    assert opened.requests == []


@needs_bundle
def test_the_page_and_its_folder_are_all_it_takes(out, visit, tmp_path):
    shutil.copy(out / "sub-01.html", tmp_path)
    shutil.copytree(out / "sub-01" / "figures", tmp_path / "sub-01" / "figures")
    visited = visit(tmp_path / "sub-01.html")
    _ready(visited.page)
    assert _pixels(visited.page).std() > 20
    pictures = visited.page.evaluate("[...document.images].map((i) => new URL(i.src).pathname)")
    assert pictures
    assert all(Path(path).is_file() and str(tmp_path) in path for path in pictures)


@needs_bundle
@pytest.mark.parametrize("width", [1400, 390])
def test_no_serious_violation_of_accessibility_rules(out, visit, width):
    visited = visit(out / "sub-01.html", width=width)
    _ready(visited.page)
    assert visited.violations() == []
    across = visited.page.evaluate("document.documentElement.scrollWidth")
    assert across <= width


@pytest.fixture(scope="module")
def wordy(tmp_path_factory) -> Path:
    """A page whose labels have 200 characters each, in one word and in many."""
    root = tmp_path_factory.mktemp("wordy")
    outputs.write_anatomy(root, LONG_NAME)
    for tracer, text in (("word", LONG_WORD), ("words", LONG_TEXT)):
        outputs.write_pet(
            root,
            f"{LONG_NAME}_trc-{tracer}",
            **dict.fromkeys(("TracerName", "Units", "Manufacturer", "SUVNotComputed"), text),
            Pairing={"T1w": text, "Reason": text, "DayGap": 3},
            Registration={"Verdict": text, "VerdictReason": text, "Software": text},
            Quality={"GMMean": 3.1, "WMMean": 1.2},
        )
        for sidecar in root.rglob(f"*_trc-{tracer}_*desc-fused*_pet.json"):
            model = {"Name": text, "Label": text, "Version": text}
            metrics = {"Planes": text, "Slices": 8, "MI": 3.0}
            sidecar.write_text(json.dumps({"FusionModel": model, "FusionMetrics": metrics}))
    outputs.write_logs(root)
    said = "\n\n".join([f"# {LONG_WORD}", f"`{LONG_WORD}` {LONG_TEXT}", f"- {LONG_WORD}"])
    (root / "logs" / "CITATION.md").write_text(said)
    (root / "logs" / "CITATION.bib").write_text(LONG_WORD)
    return _report(root, LONG_NAME.split("_")[0].removeprefix("sub-"))


@needs_bundle
@pytest.mark.parametrize("width", [1280, 1100, 400, 390])
def test_labels_of_any_length_do_not_widen_the_page(wordy, visit, width):
    visited = visit(wordy, width=width)
    _ready(visited.page)
    options = visited.page.locator("#viewer-overlay option").all_text_contents()
    assert max(map(len, options)) > 200
    assert visited.too_wide() == []


@needs_bundle
def test_the_slider_changes_what_is_seen(opened):
    page = opened.page
    seen = []
    for opacity in ("0", "50", "100"):
        page.locator("#viewer-opacity").fill(opacity)
        page.wait_for_timeout(100)
        seen.append(_pixels(page))
    assert np.abs(seen[0] - seen[1]).max() > 40
    assert np.abs(seen[1] - seen[2]).max() > 40
    # with nothing over it the T1w is gray; only the crosshair has colour
    brain = np.ptp(seen[0], axis=-1)
    assert np.mean(brain > 30) < 0.05


@needs_bundle
def test_overlays_colours_and_planes_can_be_chosen(opened):
    page = opened.page
    overlay, colours = page.locator("#viewer-overlay"), page.locator("#viewer-colours")
    assert overlay.locator("option").all_text_contents() == [
        "PET ses-1 trc-18FFDG",
        "T1w and PET ses-1 trc-18FFDG in colour",
        "ReadFuse of PET ses-1 trc-18FFDG",
        "Average of PET ses-1 trc-18FFDG",
        "None",
    ]
    assert _position(page).endswith("T1w and PET ses-1 trc-18FFDG in colour")
    # of each place the levels of red and blue that the image in colour has there, and no green
    drawn = _pixels(page)
    coloured = drawn[(drawn[..., 0] > 60) & (drawn[..., 1] < 12)]
    assert len(coloured) > 5000
    assert np.abs(coloured[:, 2] - coloured[:, 0] * 120 / 255).mean() < 6
    assert colours.is_disabled()
    overlay.select_option(label="PET ses-1 trc-18FFDG")
    page.wait_for_function("!document.getElementById('viewer-colours').disabled")
    first = _pixels(page)
    colours.select_option(label="gray")
    page.wait_for_timeout(100)
    gray = _pixels(page)
    assert np.mean(np.ptp(gray, axis=-1) > 30) < 0.05
    assert np.abs(first - gray).max() > 40
    overlay.select_option(label="ReadFuse of PET ses-1 trc-18FFDG")
    page.wait_for_function(
        "document.getElementById('viewer-position').textContent.includes('ReadFuse')"
    )
    assert page.locator("#viewer-opacity").input_value() == "100"
    overlay.select_option(label="None")
    page.wait_for_function(
        "!document.getElementById('viewer-position').textContent.includes('ReadFuse')"
    )
    assert page.locator("#viewer-opacity").is_disabled()
    page.locator("#viewer-planes").select_option(label="Axial")
    page.wait_for_timeout(100)
    assert np.abs(_pixels(page) - gray).max() > 40
    assert opened.errors == []


@needs_bundle
def test_another_session_brings_its_own_images(opened):
    page = opened.page
    anatomy = page.get_by_label("Anatomy")
    assert anatomy.locator("option").all_text_contents() == ["T1w ses-1", "T1w ses-2"]
    anatomy.select_option(label="T1w ses-2")
    page.wait_for_function(
        "document.getElementById('viewer-position').textContent.includes('PET ses-2')"
    )
    options = page.locator("#viewer-overlay option").all_text_contents()
    assert options == [
        "PET ses-2",
        "T1w and PET ses-2 in colour",
        "DenseFuse of PET ses-2",
        "None",
    ]
    assert _pixels(page).std() > 20


@needs_bundle
def test_keys_move_the_crosshair_by_a_voxel(opened):
    page = opened.page

    def at() -> tuple[int, ...]:
        words = _position(page).split(" mm")[0].split(", ")
        return tuple(int(word.split(" ")[1]) for word in words)

    page.locator("#viewer-canvas").focus()
    start = np.array(at())
    for key, step in (
        ("ArrowRight", (2, 0, 0)),
        ("ArrowUp", (0, 2, 0)),
        ("PageUp", (0, 0, 2)),
        ("ArrowLeft", (-2, 0, 0)),
        ("ArrowDown", (0, -2, 0)),
        ("PageDown", (0, 0, -2)),
    ):
        page.keyboard.press(key)
        assert tuple(np.array(at()) - start) == step, key
        start = np.array(at())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") != "viewer-canvas"


@needs_bundle
def test_the_wheel_goes_through_slices_only_with_the_focus(opened):
    page = opened.page
    canvas = page.locator("#viewer-canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    before, top = _position(page), page.evaluate("scrollY")
    page.mouse.wheel(0, 60)
    page.wait_for_function(f"scrollY > {top}")
    assert _position(page) == before
    page.evaluate(f"scrollTo(0, {top})")
    page.mouse.click(box["x"] + 200, box["y"] + 200)
    clicked = _position(page)
    assert clicked != before
    page.mouse.wheel(0, 60)
    page.wait_for_function(
        f"document.getElementById('viewer-position').textContent !== {json.dumps(clicked)}"
    )
    assert page.evaluate("scrollY") == top


@needs_bundle
def test_without_webgl_one_line_says_so(out, visit):
    visited = visit(out / "sub-01.html")
    visited.page.add_init_script(NO_WEBGL)
    visited.page.reload()
    missing = visited.page.locator("#viewer-missing")
    assert "this browser has no WebGL 2" in missing.text_content()
    assert missing.is_visible()
    assert visited.page.locator("#viewer-canvas").is_hidden()
    assert visited.page.locator("img").count() > 0
    assert visited.errors == []


@needs_bundle
def test_without_javascript_or_the_folder_one_line_says_so(out, visit, tmp_path):
    plain = visit(out / "sub-01.html", java_script_enabled=False).page
    assert "needs JavaScript, WebGL 2 and the folder sub-01" in plain.inner_text("#viewer-missing")
    shutil.copy(out / "sub-01.html", tmp_path)
    alone = visit(tmp_path / "sub-01.html").page
    assert alone.locator("#viewer-missing").is_visible()
    assert alone.locator("#viewer-canvas").is_hidden()


def test_without_the_bundle_the_figures_remain(out, visit, tmp_path, monkeypatch):
    monkeypatch.setattr(viewer, "BUNDLES", tmp_path / "none")
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    visited = visit(_report(copy, "01"))
    assert "its script was not built" in visited.page.inner_text("#viewer")
    assert visited.page.locator("img").count() > 0
    assert visited.page.locator("#viewer-canvas").count() == 0
    assert visited.violations() == []
    assert visited.errors == []


@pytest.mark.parametrize("label", ["05", "<img src=x onerror=alert(1)>"])
def test_hostile_words_are_text(visit, tmp_path, label):
    said = []
    session = "<img src=x onerror=alert(2)>"
    outputs.write_anatomy(tmp_path, f"sub-{label}_ses-{session}", verdict=HOSTILE)
    outputs.write_pet(
        tmp_path,
        f"sub-{label}_ses-{session}",
        TracerName=HOSTILE,
        Units=HOSTILE,
        Pairing={"T1w": HOSTILE, "Reason": HOSTILE, "DayGap": 3},
        Registration={"Verdict": HOSTILE, "VerdictReason": HOSTILE},
        Quality={"GMMean": HOSTILE, "WMMean": 2.0},
    )
    for sidecar in tmp_path.rglob("*desc-fused*_pet.json"):
        model = {"Name": HOSTILE, "Label": HOSTILE, "Version": HOSTILE, "RunTimeSeconds": HOSTILE}
        metrics = {"MI": 3.0, "Slices": HOSTILE, HOSTILE: 1.0}
        sidecar.write_text(json.dumps({"FusionModel": model, "FusionMetrics": metrics}))
    outputs.write_logs(tmp_path)
    # written twice: the second time reads the names that the first wrote
    _report(tmp_path, label)
    visited = visit(_report(tmp_path, label))
    page = visited.page
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.reload()
    page.wait_for_timeout(300)
    if (viewer.BUNDLES / "viewer.js").is_file():
        _ready(page)
        for index, words in ((0, HOSTILE), (2, f"{HOSTILE} of PET")):
            page.locator("#viewer-overlay").select_option(index=index)
            page.wait_for_function(
                "(words) => document.getElementById('viewer-position').textContent.includes(words)",
                arg=words,
            )
    assert said == []
    assert visited.requests == []
    assert visited.errors == []
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("body").inner_text().count("<script>alert(1)</script>") >= 6
