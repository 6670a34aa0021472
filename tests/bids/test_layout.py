"""Finding images in the layouts that people have."""

import shutil

import pytest

from fusionprep.bids.layout import (
    check_dataset,
    find_images,
    find_subjects,
    open_layout,
    unknown_subjects,
)
from fusionprep.errors import NoInputError, NotBIDSError, OutputError, UsageError
from tests.bids.skeleton import make_config, write_dataset, write_image, write_json


def names(root, subject="01", query="pet", **options):
    config = make_config(root, **{"modalities": ("pet", "ct", "flair"), **options})
    images = find_images(open_layout(config), subject, config)
    return [image.path.name for image in getattr(images, query)]


@pytest.fixture
def rich(tmp_path):
    """Sessions, tracers, reconstructions and runs, and files that are none of our business."""
    stem = "sub-01/ses-{0}/pet/sub-01_ses-{0}"
    write_image(tmp_path / "rich/sub-01/ses-b/pet/sub-01_ses-b_trc-PIB_desc-mean_pet.nii.gz")
    return write_dataset(
        tmp_path / "rich",
        "sub-01/ses-a/anat/sub-01_ses-a_run-01_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_run-02_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_FLAIR.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_part-phase_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_space-MNI_T1w.nii.gz",
        stem.format("a") + "_trc-FDG_rec-acdyn_run-01_pet.nii.gz",
        stem.format("a") + "_trc-FDG_rec-acdyn_run-02_pet.nii.gz",
        stem.format("a") + "_trc-FDG_rec-nacdyn_run-01_pet.nii.gz",
        stem.format("b") + "_trc-PIB_rec-acdyn_run-01_pet.nii",
        "derivatives/x/sub-01/pet/sub-01_trc-FDG_pet.nii.gz",
        "sourcedata/sub-01/pet/sub-01_trc-FDG_pet.nii.gz",
    )


def test_everything_is_found_without_filters(rich):
    assert names(rich) == [
        "sub-01_ses-a_trc-FDG_rec-acdyn_run-01_pet.nii.gz",
        "sub-01_ses-a_trc-FDG_rec-acdyn_run-02_pet.nii.gz",
        "sub-01_ses-a_trc-FDG_rec-nacdyn_run-01_pet.nii.gz",
        "sub-01_ses-b_trc-PIB_rec-acdyn_run-01_pet.nii",
    ]
    assert names(rich, query="t1w") == [
        "sub-01_ses-a_run-01_T1w.nii.gz",
        "sub-01_ses-a_run-02_T1w.nii.gz",
    ]
    assert names(rich, query="flair") == ["sub-01_ses-a_FLAIR.nii.gz"]


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"session_label": ("b",)}, 1),
        ({"session_label": ("ses-a", "ses-b")}, 4),
        ({"tracer_label": ("FDG",)}, 3),
        ({"tracer_label": ("trc-pib",)}, 1),
        ({"rec_label": ("nacdyn",)}, 1),
        ({"rec_label": ("rec-acdyn",), "tracer_label": ("FDG",)}, 2),
        ({"run_label": ("2",)}, 1),
        ({"run_label": ("run-01",)}, 3),
        ({"run_label": ("9",)}, 0),
    ],
)
def test_labels_restrict_pet(rich, options, count):
    assert len(names(rich, **options)) == count


def test_session_labels_leave_the_t1w_of_other_sessions_in(rich):
    assert len(names(rich, query="t1w", session_label=("b",))) == 2


@pytest.mark.parametrize(
    ("filters", "query", "expected"),
    [
        ({"t1w": {"run": 2}}, "t1w", ["sub-01_ses-a_run-02_T1w.nii.gz"]),
        ({"t1w": {"run": None}}, "t1w", []),
        (
            {"t1w": {"space": "*", "run": None}},
            "t1w",
            ["sub-01_ses-a_space-MNI_T1w.nii.gz"],
        ),
        ({"pet": {"session": "ses-b", "desc": "mean"}}, "pet", []),
        (
            {"pet": {"ses": ["b"], "trc": "trc-PIB"}},
            "pet",
            ["sub-01_ses-b_trc-PIB_rec-acdyn_run-01_pet.nii"],
        ),
    ],
)
def test_bids_filters(rich, filters, query, expected):
    if "desc" in filters.get(query, {}):
        expected = ["sub-01_ses-b_trc-PIB_desc-mean_pet.nii.gz"]
    assert names(rich, query=query, bids_filters=filters) == expected


def test_a_filter_overrides_the_option_of_the_same_name(rich):
    filters = {"pet": {"session": "a", "tracer": "FDG", "run": 2}}
    options = {"session_label": ("b",), "tracer_label": ("PIB",), "run_label": ("1",)}
    found = names(rich, bids_filters=filters, **options)
    assert found == ["sub-01_ses-a_trc-FDG_rec-acdyn_run-02_pet.nii.gz"]


@pytest.mark.parametrize("filters", [{"bold": {}}, {"pet": {"sesion": "a"}}])
def test_unknown_filters_are_refused(rich, filters):
    with pytest.raises(UsageError):
        names(rich, bids_filters=filters)


@pytest.mark.parametrize(
    "ct", ["ct/sub-01_ct.nii.gz", "CT/sub-01_CT.nii.gz", "anat/sub-01_ct.nii.gz"]
)
def test_ct_is_found_in_any_case_and_folder(tmp_path, ct):
    root = write_dataset(tmp_path, f"sub-01/{ct}")
    assert names(root, query="ct") == [ct.split("/")[1]]


def test_old_clinica_names(tmp_path):
    pet = "sub-ADNI1/ses-M00/pet/sub-ADNI1_ses-M00_task-rest_acq-fdg_pet.nii.gz"
    other = "sub-ADNI1/ses-M00/pet/sub-ADNI1_ses-M00_task-rest_acq-av45_pet.nii.gz"
    root = write_dataset(tmp_path, pet, other)
    assert names(root, "ADNI1", tracer_label=("FDG",)) == [pet.split("/")[-1]]


def test_one_tracer_label_names_the_tracer_of_images_that_tell_none(tmp_path):
    root = write_dataset(tmp_path, "sub-01/pet/sub-01_pet.nii.gz")
    config = make_config(root, tracer_label=("18FFDG",))
    image = find_images(open_layout(config), "01", config).pet[0]
    assert image.entities["tracer"] == "18FFDG"
    assert names(root, tracer_label=("FDG", "PIB")) == []


def test_entities_are_pybids_names_and_strings(rich):
    config = make_config(rich)
    image = find_images(open_layout(config), "01", config).pet[0]
    assert dict(image.entities) == {
        "subject": "01",
        "session": "a",
        "tracer": "FDG",
        "reconstruction": "acdyn",
        "run": "01",
        "suffix": "pet",
        "datatype": "pet",
    }
    assert image.path.is_file()


def test_subjects(tmp_path):
    root = write_dataset(
        tmp_path,
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-03/func/sub-03_task-rest_bold.nii.gz",
    )
    config = make_config(root)
    assert find_subjects(open_layout(config), config) == ("01", "02", "03")
    config = make_config(root, participant_label=("sub-02", "9"))
    layout = open_layout(config)
    assert find_subjects(layout, config) == ("02",)
    assert unknown_subjects(layout, config) == ("9",)
    assert layout.get_subjects() == ["02"]


def test_a_kept_index_serves_other_participants_and_is_not_rebuilt(tmp_path):
    root = write_dataset(
        tmp_path / "raw", *(f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz" for n in range(1, 4))
    )
    kept = tmp_path / "index"
    first = open_layout(make_config(root, bids_database_dir=kept, participant_label=("01",)))
    assert first.get_subjects() == ["01", "02", "03"]
    stamp = (kept / "layout_index.sqlite").stat().st_mtime_ns
    again = open_layout(make_config(root, bids_database_dir=kept, participant_label=("02",)))
    assert again.get_subjects() == ["01", "02", "03"]
    assert (kept / "layout_index.sqlite").stat().st_mtime_ns == stamp
    assert [path.name for path in kept.iterdir()] == ["layout_index.sqlite"]


def test_a_kept_index_works_through_a_link(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/anat/sub-01_T1w.nii.gz")
    open_layout(make_config(root, bids_database_dir=tmp_path / "index"))
    link = tmp_path / "link"
    link.symlink_to(root)
    config = make_config(link, bids_database_dir=tmp_path / "index")
    image = find_images(open_layout(config), "01", config).t1w[0]
    assert image.path == link / "sub-01/anat/sub-01_T1w.nii.gz"


def test_a_kept_index_of_another_dataset_is_refused(tmp_path):
    for name in ("one", "two"):
        write_dataset(tmp_path / name, "sub-01/anat/sub-01_T1w.nii.gz")
    open_layout(make_config(tmp_path / "one", bids_database_dir=tmp_path / "index"))
    with pytest.raises(UsageError, match="belongs to the dataset"):
        open_layout(make_config(tmp_path / "two", bids_database_dir=tmp_path / "index"))


def test_a_damaged_index_is_one_clear_line(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/anat/sub-01_T1w.nii.gz")
    (tmp_path / "index").mkdir()
    for content in (b"no database at all, whatever", b""):
        (tmp_path / "index/layout_index.sqlite").write_bytes(content)
        with pytest.raises(UsageError, match="delete it"):
            open_layout(make_config(root, bids_database_dir=tmp_path / "index"))


def test_an_index_that_cannot_be_written(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/anat/sub-01_T1w.nii.gz")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        open_layout(make_config(root, bids_database_dir=tmp_path / "file/index"))


def test_a_dataset_below_a_folder_named_like_an_entity_is_refused(tmp_path):
    root = write_dataset(tmp_path / "sub-99/raw", "sub-01/anat/sub-01_T1w.nii.gz")
    with pytest.raises(UsageError, match="sub-99"):
        open_layout(make_config(root))


def test_check_dataset(tmp_path):
    with pytest.raises(NoInputError):
        check_dataset(tmp_path / "absent", skip_validation=True)
    with pytest.raises(NotBIDSError, match="dataset_description"):
        check_dataset(tmp_path)
    check_dataset(tmp_path, skip_validation=True)
    description = tmp_path / "dataset_description.json"
    for content in ({}, {"Name": "x"}, ["Name", "BIDSVersion"]):
        write_json(description, content)
        with pytest.raises(NotBIDSError):
            check_dataset(tmp_path)
    description.write_text("{", encoding="utf-8")
    with pytest.raises(NotBIDSError, match="cannot read"):
        check_dataset(tmp_path)
    write_json(description, {"Name": "x", "BIDSVersion": "1.0.1"})
    check_dataset(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "{}"])
def test_indexing_without_a_sound_description(tmp_path, content):
    root = write_dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz")
    (root / "dataset_description.json").unlink()
    if content is not None:
        (root / "dataset_description.json").write_text(content, encoding="utf-8")
    check_dataset(root, skip_validation=True)
    assert names(root, query="t1w") == ["sub-01_T1w.nii.gz"]


def test_a_removed_file_in_a_kept_index_is_no_crash(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/pet/sub-01_pet.nii.gz")
    options = {"bids_database_dir": tmp_path / "index"}
    open_layout(make_config(root, **options))
    shutil.rmtree(root / "sub-01/pet")
    (root / "sub-01/pet").mkdir()
    assert names(root, **options) == ["sub-01_pet.nii.gz"]
