"""The page of a reader study in a browser: scripted readers, by keyboard alone."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fusionprep.evaluation.lesions import Reader
from fusionprep.reader_study.answers import COLUMNS, RATINGS, read_answers, read_key
from fusionprep.reader_study.lesions import Kind, draw_lesions, with_lesions
from fusionprep.reader_study.observer import read, responses
from fusionprep.reader_study.page import write_study
from fusionprep.reader_study.request import StudyRequest
from fusionprep.reader_study.score_files import score_files
from fusionprep.reader_study.scoring import score
from fusionprep.reader_study.study import Study, make_study
from fusionprep.reader_study.views import Conditions
from tests.reader_study.pairs import write_pairs

KIND = Kind(3.0, 0.5)


def _make(root: Path, conditions: Conditions, pairs: int, **options) -> Study:
    folder = write_pairs(root, pairs)
    request = StudyRequest(folder, None, conditions, kind=KIND, sources=("functional",), **options)
    study = make_study(request)
    write_study(study, root / "out")
    return study


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Eight images in two conditions, one of which has two panels."""
    root = tmp_path_factory.mktemp("small")
    conditions = Conditions(models=("average",), sources=("side-by-side",))
    return root / "out", _make(root, conditions, 30, images=8)


class Perfect:
    """Knows the key."""

    def __init__(self, study: Study) -> None:
        self.images = study.key["Images"]
        self.practice = {
            name: place
            for trial in study.page["practice"]
            for name, place in zip(trial["images"], trial["lesions"], strict=True)
        }

    def place(self, name: str) -> list[float] | None:
        if name in self.practice:
            return self.practice[name]
        lesion = self.images[name]["Lesion"]
        return lesion and lesion["Place"]

    def choose(self, names: list[str]) -> int:
        return next(side for side, name in enumerate(names) if self.place(name))

    def mark(self, name: str) -> tuple[int, tuple[float, float]]:
        place = self.place(name)
        return (5, place) if place else (0, (0, 0))


class Guessing:
    """Anywhere in the brain, with any rating."""

    def __init__(self, study: Study) -> None:
        self.rng = np.random.default_rng(2)
        self.brains = _brains(study)

    def choose(self, _names: list[str]) -> int:
        return int(self.rng.integers(2))

    def mark(self, name: str) -> tuple[int, tuple[float, float]]:
        rows, columns = np.nonzero(self.brains[name])
        at = self.rng.integers(len(rows))
        return int(self.rng.integers(1, 6)), (columns[at], rows[at])


def _brains(study: Study) -> dict[str, np.ndarray]:
    """The brain in each picture."""
    contents = study.contents
    found = {}
    for shown, picture in contents.pictures.items():
        scene = contents.cases[shown.case].scene
        brain = np.uint8(contents.scenes[scene].brain)
        found[picture.name] = contents.frames[scene].picture(brain) > 0
    return found


class Observer:
    """A channelised Hotelling observer, who scans pictures of the page for the lesion.

    Its templates come from lesions at other places; of the study it knows conditions and brains,
    but no lesion.
    """

    def __init__(self, study: Study) -> None:
        contents, rng = study.contents, np.random.default_rng(99)
        templates = []
        for view in contents.views:
            readings = []
            for scene in contents.scenes[:12]:
                lesions = draw_lesions(scene, "functional", KIND, rng)
                panels = [
                    view.render(scene, images)
                    for images in (scene.images(), with_lesions(scene, lesions))
                ]
                readings.append(read(scene.reader(), KIND, lesions, *panels))
            signals = np.concatenate([each.signals for each in readings])
            clutter = np.mean([each.clutter for each in readings], axis=0)
            covariance = clutter + 1e-4 * np.eye(len(clutter))
            templates.append(np.linalg.solve(covariance, signals.mean(axis=0)))
        brains, self.seen = _brains(study), {}
        for shown, picture in contents.pictures.items():
            panels = tuple(_pixels(panel) for panel in study.page["images"][picture.name])
            reader = Reader(brains[picture.name])
            seen = np.tensordot(templates[shown.condition], responses(panels, reader, KIND.size), 1)
            seen = np.where(reader.inside, seen, -np.inf)
            row, column = np.unravel_index(seen.argmax(), seen.shape)
            self.seen[picture.name] = float(seen.max()), (column, row), shown.condition
        self.levels = {
            condition: np.quantile(values, np.linspace(0, 1, len(RATINGS) + 1)[1:-1])
            for condition in range(len(contents.views))
            if (values := [each[0] for each in self.seen.values() if each[2] == condition])
        }

    def choose(self, names: list[str]) -> int:
        return int(np.argmax([self.seen[name][0] for name in names]))

    def mark(self, name: str) -> tuple[int, tuple[float, float]]:
        value, place, condition = self.seen[name]
        return int(np.digitize(value, self.levels[condition])), place


def _pixels(panel: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(panel))))


STATE = """() => {
  const stage = document.getElementById('stage')
  const panels = [...stage.querySelectorAll('.panel')].map((panel) => panel.dataset.image)
  const title = document.getElementById('message-title').textContent
  if (!document.getElementById('message').hidden) return ['message', title, []]
  return [stage.className.split(' ')[0], stage.dataset.trial, [...new Set(panels)]]
}"""


class Screens:
    """Waits for what the page puts before a reader: its kind, its name, and the images."""

    def __init__(self, page) -> None:
        self.page, self.step = page, 0

    def next(self) -> tuple[str, str, list[str]]:
        self.step += 1
        self.page.wait_for_function(f"Number(document.body.dataset.step) >= {self.step}")
        return tuple(self.page.evaluate(STATE))


class Keyboard:
    """Reads a study with a keyboard and nothing else."""

    def __init__(self, page, reader, study: Study) -> None:
        self.page, self.reader = page, reader
        self.middle = study.page["width"] // 2, study.page["height"] // 2
        self.screens = Screens(page)

    def begin(self, name: str) -> None:
        while self.page.evaluate("document.activeElement.id") != "reader":
            self.page.keyboard.press("Tab")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")

    def run(self, *, answers: int | None = None) -> None:
        """Answer until the study is finished, or that number of questions, practice included."""
        answered = 0
        while answered != answers:
            kind, name, images = self.screens.next()
            if kind == "message":
                if name.startswith("Finished"):
                    return
                self.page.keyboard.press("Enter")
                continue
            self.answer(kind, images)
            self.page.keyboard.press("Enter")
            if name.startswith("practice"):
                self.screens.next()
                self.page.keyboard.press("Enter")
            answered += 1

    def answer(self, kind: str, images: list[str]) -> None:
        if kind == "choose":
            self.page.keyboard.press(("ArrowLeft", "ArrowRight")[self.reader.choose(images)])
            return
        rating, place = self.reader.mark(images[0])
        if rating:
            # the first key shows the cross
            self.page.keyboard.press("ArrowLeft")
            moves = [round(at) - middle for at, middle in zip(place, self.middle, strict=True)]
            moves[0] += 1
            for move, keys in zip(moves, ("Left Right", "Up Down"), strict=True):
                key = f"Arrow{keys.split()[move > 0]}"
                for _ in range(abs(move) // 10):
                    self.page.keyboard.press(f"Shift+{key}")
                for _ in range(abs(move) % 10):
                    self.page.keyboard.press(key)
        self.page.keyboard.press(str(rating))

    def download(self, folder: Path) -> Path:
        with self.page.expect_download() as download:
            self.page.keyboard.press("Enter")
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


def test_by_keyboard_alone_with_a_reload_a_perfect_reader_scores_one(small, visit, tmp_path):
    out, study = small
    visited = visit(out / "study.html", width=1100, height=720)
    reader = Keyboard(visited.page, Perfect(study), study)
    reader.begin("AB")
    reader.run(answers=3 + 8 + 4 + 2)
    reader.screens.next()
    visited.page.reload()
    reader.screens.step = 0
    assert "AB" in visited.page.inner_text("#known")
    reader.begin("AB")
    visited.page.wait_for_selector("#message:not([hidden])")
    assert "10 of 24 are done" in visited.page.inner_text("#message")
    reader.run()
    path = reader.download(tmp_path)
    assert path.name == "answers-AB.tsv"
    key = read_key(out / "key.json")
    scores = score(key, read_answers([path], key))
    found = {each.measure.name: each for each in scores.scored}
    for name in ("proportion_correct", "lroc_area"):
        assert [each.value for each in found[name].conditions] == [1, 1]
    assert visited.errors == []
    assert visited.requests == []


@pytest.mark.parametrize(("width", "height"), [(1366, 650), (1100, 800), (390, 800)])
def test_every_screen_is_accessible_and_fits(small, visit, width, height):
    out, study = small
    visited = visit(out / "study.html", width=width, height=height)
    page = visited.page
    assert visited.violations() == []
    assert visited.too_wide() == []
    reader, seen = Keyboard(page, Perfect(study), study), set()
    reader.begin("AB")
    while {"message", "choose", "mark"} - seen:
        kind, name, images = reader.screens.next()
        if kind not in seen:
            seen.add(kind)
            assert visited.violations() == []
        if kind != "message":
            _check_size(page, width, height)
            reader.answer(kind, images)
            page.keyboard.press("Enter")
            if name.startswith("practice"):
                reader.screens.next()
                assert visited.too_wide() == []
        page.keyboard.press("Enter")
    assert visited.errors == []


def _check_size(page, width: int, height: int) -> None:
    """All panels have one size, and nothing has to be scrolled while an image is read."""
    root = "document.documentElement"
    if width > 1000:
        found = page.evaluate(f"[{root}.scrollWidth, {root}.scrollHeight]")
        assert found == [width, height]
    boxes = [panel.bounding_box() for panel in page.locator("#stage .panel").all()]
    assert len({(round(box["width"]), round(box["height"])) for box in boxes}) == 1


def test_nothing_is_confirmed_before_it_is_complete(small, visit):
    out, study = small
    page = visit(out / "study.html").page
    reader = Keyboard(page, Perfect(study), study)
    reader.begin("AB")
    reader.screens.next()
    page.keyboard.press("Enter")
    reader.screens.next()
    page.keyboard.press("Enter")
    assert "Choose an image first" in page.inner_text("#status")
    # a button that was reached by Tab does what it says
    page.locator(".alternative").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".alternative").first.get_attribute("aria-pressed") == "true"
    assert page.inner_text("#confirm").startswith("Confirm")
    page.keyboard.press("Enter")
    reader.screens.next()
    page.keyboard.press("Enter")
    # the rest of the practice, all questions of the first part, and the words before the second
    reader.run(answers=2 + 8)
    reader.screens.next()
    page.keyboard.press("Enter")
    reader.screens.next()
    page.keyboard.press("Enter")
    assert reader.screens.next()[0] == "mark"
    page.keyboard.press("Enter")
    assert "Mark the place and press" in page.inner_text("#status")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    assert "Mark the place first" in page.inner_text("#status")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("0")
    assert page.locator(".cross:visible").count() == 0
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert "how sure you are" in page.inner_text("#status")


def test_answers_can_be_given_by_mouse_where_nothing_is_kept(small, visit, tmp_path):
    out, study = small
    visited = visit(out / "study.html")
    page = visited.page
    page.context.add_init_script(
        "Object.defineProperty(window, 'localStorage', {get() {throw new Error('denied')}})"
    )
    page.reload()
    page.fill("#reader", "AB")
    page.click("#who button")
    perfect, screens = Perfect(study), Screens(page)
    while True:
        kind, name, images = screens.next()
        if kind == "message":
            assert "keeps nothing" in page.inner_text("#kept")
            if name.startswith("Finished"):
                break
            page.click("#on")
            continue
        if kind == "choose":
            page.locator(".alternative").nth(perfect.choose(images)).click()
        else:
            rating, place = perfect.mark(images[0])
            if rating:
                panel = page.locator("#stage .panel").last
                scale = panel.bounding_box()["width"] / study.page["width"]
                panel.click(
                    position={
                        axis: (at + 0.5) * scale for axis, at in zip("xy", place, strict=True)
                    }
                )
            page.locator("#rating button").nth(rating).click()
        page.click("#confirm")
        if name.startswith("practice"):
            screens.next()
            page.click("#confirm")
    with page.expect_download() as download:
        page.click("#download")
    path = tmp_path / "answers.tsv"
    download.value.save_as(path)
    key = read_key(out / "key.json")
    found = {each.measure.name: each for each in score(key, read_answers([path], key)).scored}
    for name in ("proportion_correct", "lroc_area"):
        assert [each.value for each in found[name].conditions] == [1, 1]
    assert visited.errors == []


def test_readers_see_the_same_questions_in_other_orders(small, visit):
    out, _ = small
    page = visit(out / "study.html").page
    order = "(name) => blocksOf('mark', name).flat().map((trial) => trial.trial)"
    first, again, other = (page.evaluate(order, name) for name in ("AB", "AB", "CD"))
    assert first == again != other
    assert sorted(first) == sorted(other)


def test_scores_can_be_read_by_everybody(small, visit, tmp_path):
    out, study = small
    key, rows = study.key, []
    for number, (trial, told) in enumerate(key["Trials"].items(), start=1):
        names = told["Images"]
        last = (
            ["n/a", "n/a", "0", "n/a", "n/a"]
            if len(names) == 1
            else [names[1], names[0], *["n/a"] * 3]
        )
        rows.append([key["Study"], "AB", str(number), trial, told["Task"], names[0], *last, "3.5"])
    paths = []
    for name in ("W" * 30, "CD"):
        paths.append(tmp_path / f"{name}.tsv")
        lines = [list(COLUMNS), *([row[0], name, *row[2:]] for row in rows)]
        paths[-1].write_text("".join("\t".join(line) + "\n" for line in lines))
    score_files(out / "key.json", paths, tmp_path / "scores")
    for width in (1280, 390):
        visited = visit(tmp_path / "scores" / "scores.html", width=width)
        assert visited.violations() == []
        assert visited.too_wide() == []
        assert visited.errors == []


@pytest.mark.slow
def test_scripted_readers_score_as_they_should(visit, tmp_path):
    """40 images, 3 conditions: one for whom all is clear, one who guesses, one who calculates."""
    conditions = Conditions(models=("average",), colours=("clear",), sources=("functional",))
    study = _make(tmp_path, conditions, 64, images=40)
    page = tmp_path / "out" / "study.html"
    assert page.stat().st_size < 10_000_000
    key = read_key(tmp_path / "out" / "key.json")
    found = {}
    for name, reader in (("perfect", Perfect), ("guessing", Guessing), ("observer", Observer)):
        visited = visit(page, width=1100, height=720)
        keyboard = Keyboard(visited.page, reader(study), study)
        keyboard.begin(name)
        keyboard.run()
        scores = score(key, read_answers([keyboard.download(tmp_path)], key))
        found[name] = {each.measure.name: each for each in scores.scored}
        assert visited.errors == []
    for name in ("proportion_correct", "lroc_area"):
        assert [each.value for each in found["perfect"][name].conditions] == [1, 1, 1]
        chance = found["guessing"][name].measure.chance
        assert all(each.low <= chance <= each.high for each in found["guessing"][name].conditions)
        # average, clear, functional: in the order of d'
        expected = [each["ObserverDetectability"]["functional"] for each in study.key["Conditions"]]
        values = [each.value for each in found["observer"][name].conditions]
        print(name, np.round(expected, 2), np.round(values, 3))
        assert np.argsort(values).tolist() == np.argsort(expected).tolist()
