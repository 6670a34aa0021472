"""Reading derivatives into arrays, and what is refused."""

import nibabel as nib
import numpy as np
import pytest

from fusionprep.classification.cohort import Source, read_cohort
from fusionprep.classification.inputs import parse_input
from fusionprep.classification.people import classes_of, groups_of, read_people
from fusionprep.errors import DataError, NoInputError, UsageError
from tests.classification.derivatives import AFFINE, paths, save, write_derivatives, write_scan

ALL = ("t1w", "pet", "suvr+gm", "gm-pet", "average", "regions", "age-sex")


@pytest.fixture(name="root")
def _root(tmp_path):
    return write_derivatives(tmp_path / "out", [0, 1] * 4)


def source(root, *inputs, **options):
    return Source(root, root / "participants.tsv", inputs or ("suvr",), **options)


def test_images_and_tables_are_read_onto_one_grid(root):
    cohort = read_cohort(source(root, *ALL))
    assert cohort.subjects == tuple(f"sub-{n:03d}" for n in range(8))
    assert set(cohort.images) == {"t1w", "pet", "suvr", "gm", "gm-pet", "average"}
    assert cohort.images["t1w"].shape == (8, 6, 6, 6)
    assert cohort.grid.block == (2, 2, 2)
    # the first block's centre lies between its voxels
    assert cohort.grid.affine[:3, 3] == pytest.approx(AFFINE[:3, 3] + 1)
    voxels = nib.load(paths(root, "sub-003")["suvr"]).get_fdata()
    expected = voxels[4:6, 4:6, 4:6].mean()
    assert cohort.images["suvr"][3, 2, 2, 2] == pytest.approx(expected, rel=1e-5)
    assert cohort.voxels("pet").mean(axis=1) == pytest.approx(1)
    assert cohort.tables["age-sex"][0][:, 1].tolist() == [0, 0, 1, 1] * 2
    # a column without values is left out
    assert cohort.tables["regions"][1] == ("DK_cortex_suvr", "DK_cortex_volume")


def test_the_image_of_one_subject_changes_nothing_of_the_others(root):
    before = read_cohort(source(root, *ALL))
    rng = np.random.default_rng(99)
    for name in ("t1w", "pet", "suvr", "gm", "average", "gmpet"):
        save(paths(root, "sub-005")[name], 100 * rng.uniform(size=(12, 12, 12)))
    after = read_cohort(source(root, *ALL))
    others = np.arange(8) != 5
    for kind, images in before.images.items():
        assert np.array_equal(images[others], after.images[kind][others])


def test_classes_and_groups(root):
    people = read_people(root / "participants.tsv")
    classes = classes_of(people, "Diagnosis")
    assert classes.names == ("CN", "AD")
    assert classes.of["sub-003"] == 1
    assert classes_of(people, "diagnosis", ["AD", "CN"]).of["sub-003"] == 0
    assert groups_of(people, "site")["sub-002"] == "site2"
    with pytest.raises(UsageError, match="no column 'dx'"):
        classes_of(people, "dx")
    with pytest.raises(UsageError, match="no participant has diagnosis 'MCI'"):
        classes_of(people, "diagnosis", ["CN", "MCI"])
    with pytest.raises(UsageError, match="--classes"):
        classes_of(people, "age")


def test_a_subject_listed_twice_is_refused(root):
    table = root / "participants.tsv"
    table.write_text(table.read_text() + "sub-002\tAD\t70\tM\tsite1\n")
    with pytest.raises(DataError, match="sub-002 twice"):
        read_people(table)


def test_the_same_image_under_two_names_is_refused(root):
    one, other = paths(root, "sub-001")["suvr"], paths(root, "sub-006")["suvr"]
    # written again, so that the files differ
    save(other, nib.load(one).get_fdata())
    with pytest.raises(DataError, match="the same image under two names"):
        read_cohort(source(root))


def test_scans_without_an_input_are_left_out_for_all(root):
    paths(root, "sub-004")["gm"].unlink()
    cohort = read_cohort(source(root, "suvr", "gm"))
    assert len(cohort.subjects) == 7
    assert cohort.left_out == ("sub-004: no gm",)
    assert len(cohort.images["suvr"]) == 7


def test_sessions_share_the_only_anatomy_of_their_subject(root):
    rng = np.random.default_rng(5)
    write_scan(root, rng, "sub-100", 1, "ses-1")
    write_scan(root, rng, "sub-100", 1, "ses-2")
    for name in ("t1w", "gm", "mask"):
        paths(root, "sub-100", "ses-2")[name].unlink()
    table = root / "participants.tsv"
    table.write_text(table.read_text() + "sub-100\tAD\t70\tM\tsite1\n")
    cohort = read_cohort(source(root, "gm", "suvr"))
    assert [str(scan) for scan in cohort.scans[-2:]] == ["sub-100 ses-1", "sub-100 ses-2"]
    assert cohort.member[-2:].tolist() == [8, 8]
    assert np.array_equal(cohort.images["gm"][-1], cohort.images["gm"][-2])


def test_two_images_that_fit_are_refused_unless_one_is_chosen(root):
    path = paths(root, "sub-001")["suvr"]
    save(path.with_name(path.name.replace("18FFDG", "18FAV45")), nib.load(path).get_fdata() * 2)
    with pytest.raises(DataError, match="--tracer"):
        read_cohort(source(root))
    assert len(read_cohort(source(root, tracer="18FFDG")).subjects) == 8


def test_images_of_another_grid_are_refused(root):
    path = paths(root, "sub-002")["suvr"]
    nib.Nifti1Image(np.random.default_rng(0).uniform(size=(9, 9, 9)), AFFINE).to_filename(path)
    with pytest.raises(DataError, match="not on the grid"):
        read_cohort(source(root))


def test_inputs_that_are_not_there_are_told(root):
    with pytest.raises(NoInputError, match="fusionapp with"):
        read_cohort(source(root, "laplacian"))
    with pytest.raises(UsageError, match="'mri' is not an input"):
        parse_input("mri")
    (root / "group_regions.tsv").unlink()
    with pytest.raises(NoInputError, match="--atlas"):
        read_cohort(source(root, "regions"))


def test_age_and_sex_need_no_images(root):
    cohort = read_cohort(source(root, "age-sex"))
    assert cohort.grid is None
    assert cohort.tables["age-sex"][0].shape == (8, 2)
