"""Opening and indexing a dataset, and its subjects."""

import shutil

import pytest

from fusionprep.bids.layout import check_dataset, find_subjects, unknown_subjects
from fusionprep.errors import NoInputError, NotBIDSError, OutputError, UsageError
from fusionprep.modalities import T1W
from tests.bids.skeleton import (
    image_names,
    images_of,
    layout_of,
    make_config,
    write_dataset,
    write_json,
)


def test_subjects(tmp_path):
    root = write_dataset(
        tmp_path,
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-03/func/sub-03_task-rest_bold.nii.gz",
    )
    config = make_config(root)
    assert find_subjects(layout_of(config), config.selection) == ("01", "02", "03")
    config = make_config(root, participant_label=("sub-02", "9"))
    layout = layout_of(config)
    assert find_subjects(layout, config.selection) == ("02",)
    assert unknown_subjects(layout, config.selection) == ("9",)
    assert layout.get_subjects() == ["02"]


def test_a_kept_index_serves_other_participants_and_is_not_rebuilt(tmp_path):
    root = write_dataset(
        tmp_path / "raw", *(f"sub-0{n}/anat/sub-0{n}_T1w.nii.gz" for n in range(1, 4))
    )
    kept = tmp_path / "index"
    first = layout_of(make_config(root, bids_database_dir=kept, participant_label=("01",)))
    assert first.get_subjects() == ["01", "02", "03"]
    stamp = (kept / "layout_index.sqlite").stat().st_mtime_ns
    again = layout_of(make_config(root, bids_database_dir=kept, participant_label=("02",)))
    assert again.get_subjects() == ["01", "02", "03"]
    assert (kept / "layout_index.sqlite").stat().st_mtime_ns == stamp
    assert [path.name for path in kept.iterdir()] == ["layout_index.sqlite"]


def test_a_kept_index_works_through_a_link(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/anat/sub-01_T1w.nii.gz")
    layout_of(make_config(root, bids_database_dir=tmp_path / "index"))
    link = tmp_path / "link"
    link.symlink_to(root)
    config = make_config(link, bids_database_dir=tmp_path / "index")
    image = images_of(config)["01"].of(T1W)[0]
    assert image.path == link / "sub-01/anat/sub-01_T1w.nii.gz"


def test_a_kept_index_of_another_dataset_is_refused(tmp_path):
    for name in ("one", "two"):
        write_dataset(tmp_path / name, "sub-01/anat/sub-01_T1w.nii.gz")
    layout_of(make_config(tmp_path / "one", bids_database_dir=tmp_path / "index"))
    with pytest.raises(UsageError, match="belongs to the dataset"):
        layout_of(make_config(tmp_path / "two", bids_database_dir=tmp_path / "index"))


def test_a_damaged_index_is_one_clear_line(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/anat/sub-01_T1w.nii.gz")
    (tmp_path / "index").mkdir()
    for content in (b"no database at all, whatever", b""):
        (tmp_path / "index/layout_index.sqlite").write_bytes(content)
        with pytest.raises(UsageError, match="delete it"):
            layout_of(make_config(root, bids_database_dir=tmp_path / "index"))


def test_an_index_that_cannot_be_written(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/anat/sub-01_T1w.nii.gz")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        layout_of(make_config(root, bids_database_dir=tmp_path / "file/index"))


def test_a_dataset_below_a_folder_named_like_an_entity_is_refused(tmp_path):
    root = write_dataset(tmp_path / "sub-99/raw", "sub-01/anat/sub-01_T1w.nii.gz")
    with pytest.raises(UsageError, match="sub-99"):
        layout_of(make_config(root))


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
    assert image_names(root, query="t1w") == ["sub-01_T1w.nii.gz"]


def test_a_removed_file_in_a_kept_index_is_no_crash(tmp_path):
    root = write_dataset(tmp_path / "raw", "sub-01/pet/sub-01_pet.nii.gz")
    options = {"bids_database_dir": tmp_path / "index"}
    layout_of(make_config(root, **options))
    shutil.rmtree(root / "sub-01/pet")
    (root / "sub-01/pet").mkdir()
    assert image_names(root, **options) == ["sub-01_pet.nii.gz"]
