"""The group page in a browser, opened from a disk without a network."""

import json
from pathlib import Path

import pandas as pd
import pytest

from fusionprep.reports.group.report import write_group_report
from fusionprep.reports.subject.viewer import BUNDLES
from tests.reports.group.cohort import write_cohort

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"

needs_bundle = pytest.mark.skipif(
    not (BUNDLES / "group.js").is_file(),
    reason="the scripts of the reports were not built: make web, needs npm",
)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("out")
    write_cohort(root, 30)
    for path in (root / "sub-03" / "pet").glob("*preproc_pet.json"):
        sidecar = json.loads(path.read_text())
        sidecar["TracerName"] = HOSTILE
        sidecar["Registration"] |= {"Verdict": HOSTILE, "VerdictReason": HOSTILE}
        sidecar["Pairing"]["Reason"] = HOSTILE
        path.write_text(json.dumps(sidecar))
    for path in (root / "sub-03" / "figures").glob("*thumbReadFuse_pet.png"):
        path.unlink()
    hostile = root / "sub-<img src=x onerror=alert(1)>"
    hostile.mkdir()
    (root / "participants.tsv").write_text(
        f"participant_id\t{HOSTILE}\nsub-01\t{HOSTILE}\n{hostile.name}\t1\n"
    )
    write_group_report(root)
    return root


@pytest.fixture
def opened(out, visit):
    visited = visit(out / "group_fusion.html", width=1400)
    visited.page.on("dialog", lambda dialog: visited.errors.append(dialog.message))
    yield visited
    assert not visited.errors
    assert not visited.requests


def _column(page, column: int = 1) -> list[str]:
    return [
        text.strip()
        for text in page.locator(f"#scan-table tbody tr td:nth-child({column})").all_text_contents()
    ]


def _card(page, participant: str):
    return page.locator(f".sheet .card[data-label^='{participant} PET']")


@needs_bundle
def test_the_page_opens_without_errors_or_barriers(opened):
    page = opened.page
    for picture in page.locator("#first img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete", arg=picture.element_handle())
        assert picture.evaluate("image => image.naturalWidth") == 288
    assert not opened.violations()


@needs_bundle
def test_a_narrow_screen_does_not_scroll_sideways(out, visit):
    visited = visit(out / "group_fusion.html", width=390, height=844)
    assert visited.page.evaluate("document.documentElement.scrollWidth") == 390
    assert not visited.violations()
    assert not visited.errors


@pytest.fixture(scope="module")
def wordy(tmp_path_factory) -> Path:
    """A page whose labels have 200 characters each, in one word and in many."""
    root = tmp_path_factory.mktemp("wordy")
    word, words = "W" * 200, ("many words " * 20)[:200]
    # enough scans for outliers and distributions, whose titles are labels too
    write_cohort(root, 12)
    for model, text in (("ReadFuse", word), ("DenseFuse", words)):
        for path in root.rglob(f"*desc-fused*{model}_*.json"):
            sidecar = json.loads(path.read_text())
            sidecar["FusionModel"]["Label"] = text
            path.write_text(json.dumps(sidecar))
    for label, text in (("03", word), ("04", words)):
        for path in (root / f"sub-{label}" / "pet").glob("*preproc_pet.json"):
            sidecar = json.loads(path.read_text())
            sidecar["TracerName"] = text
            sidecar["Registration"] |= {"Verdict": "review", "VerdictReason": text}
            sidecar["Pairing"]["Reason"] = text
            path.write_text(json.dumps(sidecar))
    missing = f"sub-{'M' * 60}"
    (root / missing).mkdir()
    (root / "participants.tsv").write_text(
        f"participant_id\t{word}\t{words}\nsub-01\t{words}\t{word}\n{missing}\t1\t2\n"
    )
    return write_group_report(root).html


@needs_bundle
@pytest.mark.parametrize("width", [1280, 1100, 400, 390])
def test_labels_of_any_length_do_not_widen_the_page(wordy, visit, width):
    visited = visit(wordy, width=width)
    titles = visited.page.locator("#sheet-model option").all_text_contents()
    assert max(map(len, titles)) == 200
    assert visited.too_wide() == []
    assert not visited.errors


@needs_bundle
def test_the_bad_registration_leads_and_its_report_is_linked(opened):
    page = opened.page
    first = page.locator("#first .card").first
    assert "sub-07" in first.text_content()
    assert _column(page)[0] == "sub-07"
    first.get_by_role("link", name="sub-07").click()
    page.wait_for_url("**/sub-07.html")


@needs_bundle
def test_the_table_can_be_sorted_searched_and_filtered(opened):
    page = opened.page
    heading = page.locator("#scan-table th", has_text="MI after")
    heading.click()
    page.wait_for_selector("#scan-table th[aria-sort=ascending]")
    values = [float(text) for text in _column(page, 9)]
    assert len(values) == 25
    assert values == sorted(values)
    assert values[0] == 0.31
    heading.click()
    page.wait_for_selector("#scan-table th[aria-sort=descending]")
    values = [float(text) for text in _column(page, 9)]
    assert values == sorted(values, reverse=True)
    page.get_by_label("Search").fill("sub-12")
    assert set(_column(page)) == {"sub-12"}
    page.get_by_label("Search").fill("")
    page.locator("#scan-verdict").select_option("fail")
    assert _column(page) == ["sub-07"]
    page.locator("#scan-verdict").select_option("")
    page.locator("#scan-outliers").check()
    assert "" not in _column(page, 6)
    page.locator("#scan-outliers").uncheck()
    page.locator(".dt-paging-button", has_text="2").click()
    page.wait_for_function("() => document.querySelectorAll('#scan-table tbody tr').length === 13")
    assert "sub-07" in _column(page)


@needs_bundle
def test_another_model_changes_the_thumbnails(opened):
    page = opened.page
    page.locator("#sheet-model").select_option(label="DenseFuse")
    picture = _card(page, "sub-05").locator("img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete", arg=picture.element_handle())
    assert picture.get_attribute("src").endswith("_desc-thumbDenseFuse_pet.png")
    assert picture.get_attribute("alt").startswith("DenseFuse fusion of sub-05 PET FDG")
    assert picture.evaluate("image => image.naturalWidth") == 288
    page.locator("#sheet-model").select_option(label="ReadFuse")
    lacking = _card(page, "sub-03")
    assert "no thumbnail of ReadFuse" in lacking.text_content()
    assert lacking.locator("img").is_hidden()


@needs_bundle
def test_the_sheet_can_be_filtered(opened):
    page = opened.page
    page.locator("#sheet-show").select_option("fail")
    shown = page.locator(".sheet .card:visible")
    assert shown.count() == 1
    assert "sub-07" in shown.text_content()


@needs_bundle
def test_ratings_go_round(out, opened, tmp_path):
    page = opened.page
    # By keyboard alone: the letter chooses, Tab leads to the note.
    select = page.get_by_label("Rating of sub-09 PET FDG")
    select.focus()
    page.keyboard.press("f")
    page.keyboard.press("Tab")
    page.keyboard.type("turned\tby 90°, <b>see</b>")
    page.keyboard.press("Tab")
    page.get_by_label("Note on sub-10 PET FDG").fill("a\tnote  only")
    page.get_by_label("Rating of sub-05 CT").select_option("review")
    page.reload()
    assert page.get_by_label("Rating of sub-09 PET FDG").input_value() == "fail"
    assert page.locator("#rated-count").text_content().startswith("2 of ")
    page.get_by_label("Search").fill("rated fail")
    assert _column(page) == ["sub-09"]
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "ratings.tsv"
    ratings = tmp_path / "ratings.tsv"
    download.value.save_as(ratings)
    text = ratings.read_text(encoding="utf-8")
    assert text.splitlines()[0] == (
        "participant_id\tsession_id\tmodality\ttracer\treconstruction\trun\trating\tnote"
    )
    table = pd.read_csv(ratings, sep="\t", dtype=str, keep_default_na=False).sort_values(
        ["participant_id"]
    )
    assert list(table.participant_id) == ["sub-05", "sub-09", "sub-10"]
    assert list(table.rating) == ["review", "fail", "n/a"]
    assert list(table.modality) == ["CT", "PET", "PET"]
    assert table.note.iloc[2] == "a note only"
    summary = write_group_report(out, ratings_file=ratings)
    assert not summary.warnings
    rows = pd.read_csv(summary.tsv, sep="\t", dtype=str, keep_default_na=False)
    assert set(rows[rows.excluded == "true"].participant_id) == {"sub-09"}
    page.locator("#forget").click()
    page.reload()
    # What the file said is there without the browser's memory.
    assert page.get_by_label("Rating of sub-09 PET FDG").input_value() == "fail"
    assert "<b>see</b>" in page.get_by_label("Note on sub-09 PET FDG").input_value()
    write_group_report(out)


@needs_bundle
def test_ratings_can_be_made_where_nothing_is_kept(out, visit):
    visited = visit(out / "group_fusion.html")
    page = visited.page
    page.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() {throw new Error('denied')}})"
    )
    page.reload()
    page.get_by_label("Rating of sub-09 PET FDG").select_option("pass")
    assert "keeps nothing" in page.locator("#rated-count").text_content()
    with page.expect_download() as download:
        page.locator("#download").click()
    assert "sub-09" in Path(download.value.path()).read_text()
    assert not visited.errors


@needs_bundle
def test_hostile_words_are_text(opened):
    page = opened.page
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 1
    assert HOSTILE in page.locator("#scan-table").text_content()
    page.locator("#complete details").evaluate("element => { element.open = true }")
    assert HOSTILE in page.locator("#participants thead").text_content()
    assert (
        "sub-<img src=x onerror=alert(1)>" in page.locator("#incomplete + p + table").text_content()
    )


def test_without_its_scripts_the_page_is_whole_and_says_so(out, visit, monkeypatch, tmp_path):
    monkeypatch.setattr("fusionprep.reports.group.page.BUNDLES", tmp_path)
    path = write_group_report(out).html
    visited = visit(path)
    assert "were not built" in visited.page.locator("#static").text_content()
    assert len(_column(visited.page)) == 38
    assert visited.page.locator("#sheet-tools").is_hidden()
    assert not visited.errors
    assert not visited.violations()
    monkeypatch.undo()
    write_group_report(out)


@needs_bundle
def test_without_javascript_the_page_is_whole_and_says_so(out, visit):
    visited = visit(out / "group_fusion.html", java_script_enabled=False)
    assert visited.page.locator("noscript p").is_visible()
    assert len(_column(visited.page)) == 38


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """A cohort with more scans than the page holds as elements, and than a sheet has cards."""
    root = tmp_path_factory.mktemp("large")
    write_cohort(root, 60, models=("ReadFuse",))
    for path in (root / "sub-45" / "pet").glob("*preproc_pet.json"):
        sidecar = json.loads(path.read_text())
        sidecar["Pairing"]["Reason"] = f"{HOSTILE}<!--"
        path.write_text(json.dumps(sidecar))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fusionprep.reports.group.page.STATIC", 10)
        write_group_report(root)
    return root


def _rows(page) -> list[list[str]]:
    return page.locator("#scan-table tbody tr").evaluate_all(
        "rows => rows.map(row => [row.className, ...[...row.cells].map(c => c.innerHTML.trim())])"
    )


@needs_bundle
def test_scans_that_the_page_does_not_hold_as_elements_are_the_same_in_the_table(
    large, visit, tmp_path
):
    visited = visit(large / "group_fusion.html")
    visited.page.locator(".dt-length select").select_option("-1")
    shown = _rows(visited.page)
    assert HOSTILE in visited.page.locator("#scan-table").text_content()
    assert visited.page.locator("img[src=x]").count() == 0
    assert not visited.errors
    write_group_report(large)
    try:
        whole = visit(large / "group_fusion.html", java_script_enabled=False)
        assert len(shown) == 75
        assert shown == _rows(whole.page)
    finally:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fusionprep.reports.group.page.STATIC", 10)
            write_group_report(large)


@needs_bundle
def test_the_sheet_of_a_large_cohort_is_paged_and_searched(large, visit):
    visited = visit(large / "group_fusion.html")
    page = visited.page
    assert page.locator(".sheet .card").count() == 60
    page.locator("#sheet-on").click()
    assert page.locator(".sheet .card").count() == 15
    assert "61 to 75 of 75" in page.locator("#sheet-range").text_content()
    last = page.locator(".sheet .card").last.get_attribute("id")
    page.locator("#sheet-find").fill("sub-57 ct")
    assert page.locator(".sheet .card h3").all_text_contents()[0].startswith("sub-57 CT")
    page.get_by_label("Rating of sub-57 CT").select_option("review")
    page.locator("#sheet-find").fill("")
    page.evaluate("hash => { location.hash = hash }", "")
    link = page.locator("#first a[href^='#scan-']").first
    link.evaluate("(link, id) => { link.setAttribute('href', `#${id}`) }", last)
    link.click()
    page.wait_for_function("id => document.getElementById(id)", arg=last)
    assert page.locator(f"#{last}").is_visible()
    with page.expect_download() as download:
        page.locator("#download").click()
    assert "sub-57\tn/a\tCT" in Path(download.value.path()).read_text()
    assert page.locator("#participants tbody tr").count() == 10
    page.locator("#complete details").evaluate("element => { element.open = true }")
    page.wait_for_function("document.querySelectorAll('#participants tbody tr').length === 60")
    assert not visited.errors


@needs_bundle
def test_columns_with_dashes_are_sorted_as_numbers(large, visit):
    page = visit(large / "group_fusion.html").page
    page.locator(".dt-length select").select_option("-1")
    heading = page.locator("#scan-table th", has_text="Noise")
    place = heading.evaluate("cell => cell.cellIndex") + 1
    heading.click()
    page.wait_for_selector("#scan-table th[aria-sort=ascending]")
    texts = _column(page, place)
    assert texts[:15] == ["–"] * 15
    values = [float(text) for text in texts[15:]]
    assert values == sorted(values)


FOCUSED = """() => {
  const e = document.activeElement
  const style = getComputedStyle(e)
  const seen = style.outlineStyle !== 'none' || style.boxShadow !== 'none'
  return [e.id || e.className || e.tagName, seen || e === document.body]
}"""


def _tab_to(page, wanted: str, most: int = 400) -> None:
    """Press Tab until something has the focus that a selector matches, and can be seen to."""
    for _ in range(most):
        page.keyboard.press("Tab")
        name, seen = page.evaluate(FOCUSED)
        assert seen, f"nothing shows that {name} has the focus"
        if page.evaluate("(wanted) => document.activeElement.matches(wanted)", wanted):
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


@needs_bundle
def test_everything_can_be_done_by_keyboard_alone(large, visit):
    visited = visit(large / "group_fusion.html")
    page = visited.page
    _tab_to(page, "#first a[href^='#scan-']")
    target = page.evaluate("document.activeElement.getAttribute('href').slice(1)")
    page.keyboard.press("Enter")
    page.wait_for_function("id => document.activeElement.id === id", arg=target)
    _tab_to(page, f"#{target} select", most=5)
    page.keyboard.press("f")
    _tab_to(page, f"#{target} input", most=1)
    page.keyboard.type("turned")
    assert page.locator("#rated-count").text_content().startswith("1 of 75")
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.locator("h1").click()
    _tab_to(page, "#scan-verdict")
    page.keyboard.press("f")
    page.wait_for_function("document.querySelectorAll('#scan-table tbody tr').length < 5")
    page.keyboard.press("Home")
    _tab_to(page, "#scan-outliers", most=1)
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    _tab_to(page, "input.dt-input[type=search]")
    page.keyboard.type("sub-12")
    assert set(_column(page)) == {"sub-12"}
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    _tab_to(
        page, "#scan-table th[aria-label^='MI after'], #scan-table th *[aria-label^='MI after']"
    )
    page.keyboard.press("Enter")
    page.wait_for_selector("#scan-table th[aria-sort=ascending]")
    _tab_to(page, ".dt-paging-button:not(.disabled)[data-dt-idx='1']")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('.dt-info').textContent.startsWith('26')")
    _tab_to(page, "#sheet-show")
    _tab_to(page, "#sheet-find", most=1)
    _tab_to(page, "#download", most=1)
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert "\tfail\tturned" in Path(download.value.path()).read_text()
    _tab_to(page, "#sheet-on")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.matches('.sheet .card:first-child')")
    assert "61 to 75" in page.locator("#sheet-range").text_content()
    _tab_to(page, "#sheet-back")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('.sheet .card').length === 60")
    _tab_to(page, "#complete summary")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#participants tbody tr').length === 60")
    assert not visited.errors
