"""What keeps outputs from being written is found before they are made."""

import pytest

from fusionprep.bids.dataset import prepare_output, write_participants
from fusionprep.bids.output_checks import check_output
from fusionprep.errors import OutputError
from tests.bids.skeleton import make_config, t1w, write_dataset
from tests.reports import outputs


def test_a_folder_that_is_not_there_or_empty_is_fine(tmp_path):
    check_output(tmp_path / "deep" / "out", ["01"])
    check_output(tmp_path, ["01"])
    assert list(tmp_path.iterdir()) == []


def test_what_runs_leave_is_fine(tmp_path):
    outputs.write_anatomy(tmp_path, "sub-01_ses-a")
    outputs.write_pet(tmp_path, "sub-01_ses-a")
    outputs.write_logs(tmp_path)
    (tmp_path / "sub-01" / "figures").mkdir()
    check_output(tmp_path, ["01", "02"])


def test_links_to_folders_are_followed(tmp_path):
    (tmp_path / "disk" / "sub-01").mkdir(parents=True)
    out = tmp_path / "out"
    out.mkdir()
    (out / "sub-01").symlink_to(tmp_path / "disk" / "sub-01")
    check_output(out, ["01"])
    (tmp_path / "disk" / "sub-01" / "anat").write_text("no folder")
    with pytest.raises(OutputError, match="anat: it is not a folder"):
        check_output(out, ["01"])


def test_other_subjects_do_not_matter(tmp_path):
    (tmp_path / "sub-02.html").mkdir()
    (tmp_path / "sub-03").touch()
    check_output(tmp_path, ["01"])
    with pytest.raises(OutputError, match=r"sub-02\.html is a folder where a file"):
        check_output(tmp_path, ["01", "02"])


def test_every_file_of_the_dataset_itself_is_looked_at(tmp_path):
    """A file that is added to the output has to be added to the check."""
    raw = write_dataset(tmp_path / "raw", t1w())
    config = make_config(raw)
    image = config.output_dir / "sub-01" / "anat" / "sub-01_dseg.nii.gz"
    image.parent.mkdir(parents=True)
    image.touch()
    prepare_output(config)
    write_participants(config)
    files = [path for path in config.output_dir.iterdir() if path.is_file()]
    assert len(files) == 7
    for path in files:
        path.unlink()
        path.mkdir()
        with pytest.raises(OutputError, match=path.name):
            check_output(config.output_dir, ["01"])
        path.rmdir()
    check_output(config.output_dir, ["01"])
