"""Which atlas is meant by what a user gives, and what is said where there is none."""

from pathlib import Path

import pytest

from fusionprep.atlases import DESIKAN_KILLIANY, find_atlases
from fusionprep.errors import UsageError
from fusionprep.spaces import TemplateSpace

SYM, ASYM = TemplateSpace("MNI152NLin2009aSym"), TemplateSpace("MNI152NLin2009cAsym")


def find(*atlas: str, labels=(), fs=None, templates=(SYM,)):
    return find_atlases(atlas, labels, fs, templates)


@pytest.fixture
def templateflow(tmp_path, monkeypatch) -> Path:
    """A folder with files of some atlases, one of them not fetched."""
    folder = tmp_path / "flow" / "tpl-MNI152NLin2009cAsym"
    folder.mkdir(parents=True)
    stem = "tpl-MNI152NLin2009cAsym"
    for name in (
        "res-01_atlas-Schaefer2018_desc-100Parcels7Networks_dseg.nii.gz",
        "res-02_atlas-Schaefer2018_desc-100Parcels7Networks_dseg.nii.gz",
        "res-01_atlas-Schaefer2018_desc-400Parcels7Networks_dseg.nii.gz",
        "atlas-Schaefer2018_desc-100Parcels7Networks_dseg.tsv",
        "res-01_seg-Cerebellum_dseg.nii.gz",
    ):
        (folder / f"{stem}_{name}").write_text("something")
    (folder / f"{stem}_res-01_atlas-Unfetched_dseg.nii.gz").touch()
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path / "flow"))
    return folder


def test_the_packaged_atlas_goes_with_its_template():
    assert find("auto") == find("dk") == (DESIKAN_KILLIANY,)
    assert find("auto", templates=()) == find("none") == ()
    with pytest.raises(UsageError, match="is in MNI152NLin2009aSym; add it to --output-spaces"):
        find("dk", templates=(ASYM,))


def test_an_atlas_of_templateflow(templateflow):
    (atlas,) = find("Schaefer2018:100Parcels7Networks", templates=(SYM, ASYM))
    assert Path(atlas.file).name.startswith("tpl-MNI152NLin2009cAsym_res-01_atlas-Schaefer2018")
    assert atlas.labels == templateflow / (
        "tpl-MNI152NLin2009cAsym_atlas-Schaefer2018_desc-100Parcels7Networks_dseg.tsv"
    )
    assert (atlas.space, atlas.seg) == (ASYM.name, "Schaefer2018+100Parcels7Networks")
    (plain,) = find("Cerebellum", templates=(ASYM,))
    assert (plain.seg, plain.labels) == ("Cerebellum", None)


@pytest.mark.parametrize(
    ("atlas", "templates", "said"),
    [
        ("Schaefer2018", (ASYM,), "choose from Schaefer2018:100Parcels7Networks, Schaefer2018:400"),
        ("Schaefer2018:9Parcels", (ASYM,), "have 100Parcels7Networks, 400Parcels7Networks"),
        ("Schaefer2018", (SYM,), "no such atlas on this machine .* nothing is downloaded"),
        ("Difumo", (ASYM,), "no such atlas on this machine"),
        ("Difumo", (), "no template among --output-spaces"),
        ("Unfetched", (ASYM,), "has not fetched it yet"),
        ("two words", (ASYM,), "neither a name, NAME:DESC nor a file"),
    ],
)
def test_what_templateflow_does_not_have(templateflow, atlas, templates, said):
    with pytest.raises(UsageError, match=said):
        find(atlas, templates=templates)


@pytest.mark.parametrize(
    ("name", "space", "seg"),
    [
        ("tpl-MNI152NLin2009cAsym_atlas-Mine_desc-a1_dseg.nii.gz", ASYM.name, "Mine+a1"),
        ("space-MNI152NLin2009cAsym_seg-Roi_dseg.nii", ASYM.name, "Roi"),
        ("sub-01_space-T1w_seg-Roi_dseg.mgz", "T1w", "Roi"),
        ("my_rois.nii.gz", SYM.name, "myrois"),
    ],
)
def test_the_name_of_a_file_says_where_it_is(tmp_path, name, space, seg):
    path = tmp_path / name
    path.touch()
    (atlas,) = find(str(path), templates=(SYM, ASYM))
    assert (atlas.space, atlas.seg, atlas.labels) == (space, seg, None)
    table = path.with_name(name.split(".")[0] + ".tsv")
    table.touch()
    assert find(str(path), templates=(SYM, ASYM))[0].labels == table
    other = tmp_path / "names.tsv"
    other.touch()
    assert find(str(path), labels=[str(other)], templates=(SYM, ASYM))[0].labels == other


def test_a_file_for_each_subject(tmp_path):
    pattern = str(tmp_path / "sub-{subject}/ses-{session}/sub-{subject}_space-T1w_dseg.nii")
    (atlas,) = find(pattern, templates=())
    assert atlas.seg == "own"
    assert atlas.file_of("01", "a") is None
    with_session = tmp_path / "sub-01" / "ses-a" / "sub-01_space-T1w_dseg.nii"
    without = tmp_path / "sub-01" / "sub-01_space-T1w_dseg.nii"
    for path, session in ((without, None), (without, "a"), (with_session, "a")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert atlas.file_of("01", session) == path


def test_a_file_named_after_a_subject_is_of_no_other(tmp_path):
    path = tmp_path / "sub-01_space-T1w_seg-Roi_dseg.nii"
    path.touch()
    (atlas,) = find(str(path), templates=())
    assert atlas.file_of("01", None) == path
    assert atlas.file_of("02", None) is None


def test_the_folder_of_freesurfer(tmp_path):
    (atlas,) = find("none", fs=tmp_path)
    assert atlas.file_of("01", "a") is None
    for folder, session in (("sub-01", None), ("sub-01", "a"), ("sub-01_ses-a", "a")):
        path = tmp_path / folder / "mri" / "aparc+aseg.mgz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert atlas.file_of("01", session) == path
    with pytest.raises(UsageError, match="no such folder"):
        find("none", fs=tmp_path / "elsewhere")


def test_what_cannot_be(tmp_path):
    file = tmp_path / "rois.nii"
    file.touch()
    for options, said in (
        ({"atlas": [str(tmp_path / "none.nii")]}, "no such file"),
        ({"atlas": [str(file)], "templates": ()}, "does not say which space"),
        ({"atlas": [str(file)], "labels": [str(tmp_path / "no.tsv")]}, "no such file"),
        ({"atlas": [str(file)], "labels": ["a", "b"]}, "2 for 1"),
        ({"atlas": [str(tmp_path / "{participant}.nii")]}, "can stand in braces"),
        ({"atlas": [str(file), str(file)]}, "two atlases would be written as seg-rois"),
    ):
        given = {"labels": (), "templates": (SYM,), **options}
        with pytest.raises(UsageError, match=said):
            find_atlases(given["atlas"], given["labels"], None, given["templates"])
