"""Finding images in the layouts that people have."""

import pytest

from fusionprep.errors import UsageError
from fusionprep.modalities import PET
from tests.bids.skeleton import image_names, images_of, make_config, write_dataset, write_image


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
    assert image_names(rich) == [
        "sub-01_ses-a_trc-FDG_rec-acdyn_run-01_pet.nii.gz",
        "sub-01_ses-a_trc-FDG_rec-acdyn_run-02_pet.nii.gz",
        "sub-01_ses-a_trc-FDG_rec-nacdyn_run-01_pet.nii.gz",
        "sub-01_ses-b_trc-PIB_rec-acdyn_run-01_pet.nii",
    ]
    assert image_names(rich, query="t1w") == [
        "sub-01_ses-a_run-01_T1w.nii.gz",
        "sub-01_ses-a_run-02_T1w.nii.gz",
    ]
    assert image_names(rich, query="flair") == ["sub-01_ses-a_FLAIR.nii.gz"]


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
    assert len(image_names(rich, **options)) == count


def test_session_labels_leave_the_t1w_of_other_sessions_in(rich):
    assert len(image_names(rich, query="t1w", session_label=("b",))) == 2


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
    assert image_names(rich, query=query, bids_filters=filters) == expected


def test_a_filter_overrides_the_option_of_the_same_name(rich):
    filters = {"pet": {"session": "a", "tracer": "FDG", "run": 2}}
    options = {"session_label": ("b",), "tracer_label": ("PIB",), "run_label": ("1",)}
    found = image_names(rich, bids_filters=filters, **options)
    assert found == ["sub-01_ses-a_trc-FDG_rec-acdyn_run-02_pet.nii.gz"]


@pytest.mark.parametrize("filters", [{"bold": {}}, {"pet": {"sesion": "a"}}])
def test_unknown_filters_are_refused(rich, filters):
    with pytest.raises(UsageError):
        image_names(rich, bids_filters=filters)


@pytest.mark.parametrize(
    "ct", ["ct/sub-01_ct.nii.gz", "CT/sub-01_CT.nii.gz", "anat/sub-01_ct.nii.gz"]
)
def test_ct_is_found_in_any_case_and_folder(tmp_path, ct):
    root = write_dataset(tmp_path, f"sub-01/{ct}")
    assert image_names(root, query="ct") == [ct.split("/")[1]]


def test_images_of_a_badly_named_folder_are_not_those_of_another_subject(tmp_path):
    root = write_dataset(
        tmp_path, "sub-01/pet/sub-01_pet.nii.gz", "sub-01_copy/pet/sub-01_copy_pet.nii.gz"
    )
    assert image_names(root) == ["sub-01_pet.nii.gz"]


def test_t2w_is_found(tmp_path):
    root = write_dataset(tmp_path, "sub-01/anat/sub-01_acq-TSE_T2w.nii.gz")
    assert image_names(root, query="t2w") == ["sub-01_acq-TSE_T2w.nii.gz"]
    assert image_names(root, query="t2w", modalities=("pet",)) == []


def test_old_clinica_names(tmp_path):
    pet = "sub-ADNI1/ses-M00/pet/sub-ADNI1_ses-M00_task-rest_acq-fdg_pet.nii.gz"
    other = "sub-ADNI1/ses-M00/pet/sub-ADNI1_ses-M00_task-rest_acq-av45_pet.nii.gz"
    root = write_dataset(tmp_path, pet, other)
    assert image_names(root, "ADNI1", tracer_label=("FDG",)) == [pet.split("/")[-1]]


def test_one_tracer_label_names_the_tracer_of_images_that_tell_none(tmp_path):
    root = write_dataset(tmp_path, "sub-01/pet/sub-01_pet.nii.gz")
    config = make_config(root, tracer_label=("18FFDG",))
    image = images_of(config)["01"].of(PET)[0]
    assert image.entities["trc"] == "18FFDG"
    assert image_names(root, tracer_label=("FDG", "PIB")) == []


def test_entities_are_those_of_the_name(rich):
    config = make_config(rich)
    image = images_of(config)["01"].of(PET)[0]
    assert dict(image.entities) == {
        "sub": "01",
        "ses": "a",
        "trc": "FDG",
        "rec": "acdyn",
        "run": "01",
    }
    assert image.suffix == "pet"
    assert image.path.is_file()
