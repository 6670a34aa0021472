"""Making a study, from pictures, volumes and derivatives."""

import base64
import io
import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep.cli import main
from fusionprep.errors import DataError, NoInputError, UsageError
from fusionprep.modalities import get_modality
from fusionprep.reader_study.lesions import Kind, draw_lesion, with_lesions
from fusionprep.reader_study.page import advice, html
from fusionprep.reader_study.request import StudyRequest
from fusionprep.reader_study.study import make_study
from fusionprep.reader_study.views import Conditions
from tests.reader_study.pairs import write_pairs
from tests.training.test_derivatives import write_subject

VIEWS = Conditions(models=("average",), colours=("clear",), sources=("side-by-side",))
KIND = Kind(3.0, 0.5)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"), 30)


@pytest.fixture(scope="module")
def study(pairs):
    return make_study(StudyRequest(pairs, None, VIEWS, images=8, kind=KIND))


def test_each_image_is_shown_in_each_condition_half_of_them_with_a_lesion(study):
    images = study.key["Images"].values()
    assert len(images) == 8 * 3
    assert sum(image["Lesion"] is not None for image in images) == 4 * 3
    assert {image["Condition"] for image in images} == {"average", "colour-clear", "side-by-side"}
    sources = [image["Lesion"]["Source"] for image in images if image["Lesion"]]
    assert sources.count("anatomical") == sources.count("functional")
    tasks = [trial["Task"] for trial in study.key["Trials"].values()]
    assert (tasks.count("choose"), tasks.count("mark")) == (4 * 3, 8 * 3)


def test_one_of_two_alternatives_has_a_lesion_and_both_one_condition(study):
    for trial in study.key["Trials"].values():
        shown = [study.key["Images"][name] for name in trial["Images"]]
        if trial["Task"] == "choose":
            assert sum(image["Lesion"] is not None for image in shown) == 1
            assert shown[0]["Condition"] == shown[1]["Condition"]
            assert shown[0]["Scene"] != shown[1]["Scene"]


def test_pictures_are_lossless_of_one_size_and_show_the_lesion(study):
    contents = study.contents
    for shown, picture in contents.pictures.items():
        case = contents.cases[shown.case]
        scene = contents.scenes[case.scene]
        images = with_lesions(scene, [case.lesion] if case.lesion else [])
        expected = contents.views[shown.condition].render(scene, images)
        for panel, wanted in zip(picture.panels, expected, strict=True):
            image = Image.open(io.BytesIO(panel))
            assert image.format == "PNG"
            assert image.size == (study.page["width"], study.page["height"])
            frame = contents.frames[case.scene]
            assert np.array_equal(np.asarray(image), frame.picture(wanted))


def test_a_lesion_changes_its_source_alone_and_most_at_its_place(study):
    scene = study.contents.scenes[0]
    lesion = draw_lesion(scene, "functional", KIND, np.random.default_rng(0))
    anatomical, functional = with_lesions(scene, [lesion])
    before = scene.images()
    assert np.array_equal(anatomical, before[0])
    change = (functional - before[1])[..., 0]
    assert np.unravel_index(change.argmax(), change.shape) == lesion.place
    assert change.max() == pytest.approx(lesion.height, abs=1e-6)
    assert scene.brain[lesion.place]


def test_the_page_tells_neither_conditions_nor_lesions(study):
    text = html(study)
    told = json.dumps(study.page)
    for secret in ("average", "colour-clear", "side-by-side", "Average", "functional", "000.png"):
        assert secret not in told
    places = [image["Lesion"]["Place"] for image in study.key["Images"].values() if image["Lesion"]]
    shown = {tuple(each) for trial in study.page["practice"] for each in trial["lesions"] if each}
    assert not {tuple(place) for place in places} & shown
    assert set(study.page["trials"][0]) == {"trial", "task", "block", "images"}
    # nothing is asked of a network
    assert "http" not in text.replace("http://www.w3.org", "")
    practised = {name for trial in study.page["practice"] for name in trial["images"]}
    assert not practised & set(study.key["Images"])


def test_the_order_in_the_page_does_not_tell_which_images_have_a_lesion(pairs):
    """Neither names nor trials are sorted by what they show."""
    study = make_study(StudyRequest(pairs, None, VIEWS, images=20, kind=KIND))
    has = [study.key["Images"][name]["Lesion"] is not None for name in sorted(study.key["Images"])]
    first = [
        study.key["Images"][trial["images"][0]]["Lesion"] is not None
        for trial in study.page["trials"]
        if trial["task"] == "choose"
    ]
    for told in (has, first):
        changes = np.mean(np.diff(np.array(told, int)) != 0)
        assert 0.3 < changes < 0.7
    assert 0.25 < np.mean(first) < 0.75


def test_one_seed_makes_one_study(pairs, study):
    again = make_study(StudyRequest(pairs, None, VIEWS, images=8, kind=KIND))
    other = make_study(StudyRequest(pairs, None, VIEWS, images=8, kind=KIND, seed=1))
    assert (again.identity, again.key) == (study.identity, study.key)
    assert other.identity != study.identity


def test_the_observer_orders_conditions_as_they_show_the_lesions(pairs):
    views = Conditions(models=("average",), sources=("functional", "anatomical"))
    made = make_study(
        StudyRequest(pairs, None, views, images=8, kind=KIND, sources=("functional",))
    )
    average, functional, anatomical = (
        each["ObserverDetectability"]["functional"] for each in made.key["Conditions"]
    )
    assert anatomical == 0
    assert 0 < average < functional


def test_examples_show_lesions_that_can_be_seen(pairs):
    views = Conditions(models=("average",), sources=("functional",))
    made = make_study(StudyRequest(pairs, None, views, images=4, kind=KIND, tasks=("mark",)))
    case_of = {
        picture.name: (made.contents.cases[shown.case], shown.condition)
        for shown, picture in made.contents.pictures.items()
    }
    assert made.page["examples"]
    for number in made.page["examples"]:
        case, condition = case_of[made.page["practice"][number]["images"][0]]
        assert made.contents.views[condition].alone in (None, case.lesion.source)
    assert "PET alone: lesions of the other image cannot be seen in it" in advice(made, 0)


def test_dark_lesions_are_dark(pairs):
    made = make_study(StudyRequest(pairs, None, VIEWS, images=4, kind=Kind(3.0, -0.5)))
    heights = [
        image["Lesion"]["Height"] for image in made.key["Images"].values() if image["Lesion"]
    ]
    assert max(heights) < 0
    assert made.page["dark"]


def test_slices_that_are_too_few_come_again_and_that_is_said(tmp_path):
    made = make_study(StudyRequest(write_pairs(tmp_path, 6), None, VIEWS, images=12, kind=KIND))
    assert made.repeated == 2
    assert any("comes up to 2 times" in line for line in advice(made, 1000))


def test_derivatives_are_read(tmp_path):
    root = tmp_path / "out"
    root.mkdir()
    (root / "dataset_description.json").write_text(json.dumps({"DatasetType": "derivative"}))
    for subject in ("01", "02"):
        write_subject(root, subject, ct=True, zooms=(2, 2, 2))
    made = make_study(StudyRequest(None, root, VIEWS, images=4, kind=Kind(3.0, 0.3)))
    assert made.key["Units"] == "mm"
    assert made.key["PixelSize"] == 2
    assert made.page["turned"]
    assert {image["Subject"] for image in made.key["Images"].values()} == {"sub-01", "sub-02"}
    bones = Conditions(models=("average",), sources=("functional",))
    request = StudyRequest(None, root, bones, modality=get_modality("ct"), images=4)
    with pytest.raises(DataError, match="room for a lesion"):
        # a ball of 11 voxels has a margin of 5, but brain in a wide window is too even and dark
        make_study(StudyRequest(**{**vars(request), "kind": Kind(3.0, 30.0)}))


def test_a_lesion_of_a_volume_reaches_into_neighbouring_slices(tmp_path):
    grid = np.indices((48, 48, 24)) - np.array([24, 24, 12]).reshape(3, 1, 1, 1)
    ball = np.linalg.norm(grid * np.array([1, 1, 1.5]).reshape(3, 1, 1, 1), axis=0) < 20
    rng = np.random.default_rng(0)
    for name in ("mri", "pet"):
        (tmp_path / name).mkdir()
        for number in range(2):
            voxels = np.where(ball, 200 + 20 * rng.random(ball.shape), 0).astype(np.float32)
            voxels[20:24, 20:24] *= 2
            image = nib.Nifti1Image(voxels, np.diag([1, 1, 2, 1]))
            image.to_filename(tmp_path / name / f"{number}.nii.gz")
    made = make_study(
        StudyRequest(tmp_path, None, Conditions(models=("selfuse", "average")), images=4, kind=KIND)
    )
    assert {image["Subject"] for image in made.key["Images"].values()} == {"0", "1"}
    scene = next(each for each in made.contents.scenes if 0 < each.middle < each.levels[0].shape[2])
    lesion = draw_lesion(scene, "anatomical", KIND, np.random.default_rng(0))
    change = (with_lesions(scene, [lesion])[0] - scene.images()[0])[lesion.place]
    assert change[scene.middle - 1] == pytest.approx(
        change[scene.middle] * np.exp(-0.5 * (2 / 3) ** 2), rel=1e-3
    )


REQUEST_ERRORS = [
    ({"images": 7}, "even number"),
    ({"tasks": ()}, "needs a task"),
    ({"sources": ("functional", "functional")}, "given twice"),
    ({"conditions": Conditions(models=("average",))}, "two conditions or more"),
    ({"conditions": Conditions(models=("average", "average"))}, "average is given twice"),
    ({"conditions": Conditions(models=("gmpet", "average"))}, "map of the gray matter"),
]


@pytest.mark.parametrize(("change", "words"), REQUEST_ERRORS)
def test_what_cannot_be_is_refused(pairs, change, words):
    given = {"pairs": pairs, "derivatives": None, "conditions": VIEWS, "images": 8, **change}
    with pytest.raises(UsageError, match=words):
        make_study(StudyRequest(**given))


def test_images_without_room_are_refused(tmp_path):
    folder = write_pairs(tmp_path, 8, side=24)
    with pytest.raises(DataError, match="have room for a lesion"):
        make_study(StudyRequest(folder, None, VIEWS, images=4, kind=KIND))


def test_a_folder_without_scans_is_refused(tmp_path):
    (tmp_path / "dataset_description.json").write_text(json.dumps({"DatasetType": "derivative"}))
    with pytest.raises(NoInputError, match="holds no preprocessed"):
        make_study(StudyRequest(None, tmp_path, VIEWS, images=4))


def test_the_command_writes_a_page_and_a_key_and_replaces_none(pairs, tmp_path, capsys):
    out = tmp_path / "study"
    command = [
        *("reader-study", "make", "--pairs", str(pairs), "--models", "average", "max"),
        *("--images", "4", "--size", "3", "--tasks", "mark", "--out", str(out)),
    ]
    assert main(command) == 0
    assert sorted(path.name for path in out.iterdir()) == ["key.json", "study.html"]
    key = json.loads((out / "key.json").read_text())
    page = (out / "study.html").read_text()
    assert key["Study"] in page
    data = page.split('id="study">')[1].split("</script>")[0]
    for panels in json.loads(data)["images"].values():
        assert Image.open(io.BytesIO(base64.b64decode(panels[0]))).mode == "L"
    assert "Average: 0." in capsys.readouterr().out
    assert main(command) == 64
    assert "holds a study already" in capsys.readouterr().err
