import json
import os
import stat

import nibabel as nib
import numpy as np
import pytest
from nipype.pipeline import engine as pe

from fusionprep.errors import OutputError
from fusionprep.image.io import new_image
from fusionprep.interfaces.derivatives import WriteDerivative
from fusionprep.interfaces.files import save

NAME = "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz"


@pytest.fixture
def source(tmp_path) -> str:
    image = new_image(np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.diag([1, 2, 3, 1]))
    return save(image, tmp_path, "source")


@pytest.fixture
def writer(tmp_path, source) -> WriteDerivative:
    return WriteDerivative(
        in_file=source,
        output_dir=str(tmp_path / "out"),
        out_path=NAME,
        space="mni",
        metadata={"Description": "T1w", "Units": "a", "Gap": None},
        computed=[{"Units": "b", "Scores": [float("nan"), 1.5, {"MI": float("inf")}]}],
    )


def test_image_and_sidecar(writer, tmp_path, source):
    found = writer.run(cwd=str(tmp_path))
    target = tmp_path / "out" / NAME
    assert found.outputs.out_file == str(target)
    image = nib.load(target)
    np.testing.assert_array_equal(image.dataobj, nib.load(source).dataobj)
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (4, 4)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    sidecar = json.loads((target.parent / "sub-01_desc-preproc_T1w.json").read_text())
    # what was found on the way replaces what was known before; JSON has no NaN
    assert sidecar == {
        "Description": "T1w", "Units": "b", "Gap": None, "Scores": [None, 1.5, {"MI": None}],
    }  # fmt: skip
    modes = {stat.S_IMODE(path.stat().st_mode) for path in target.parent.iterdir()}
    assert len(list(target.parent.iterdir())) == 2
    assert all(mode & 0o400 for mode in modes)


def test_notes_found_on_the_way_join_those_known_before(writer, tmp_path):
    writer.inputs.metadata = {"Notes": ["a", "b"]}
    writer.inputs.computed = [{"Units": "b"}, {"Notes": ["c", "a"]}]
    writer.run(cwd=str(tmp_path))
    sidecar = json.loads((tmp_path / "out" / NAME.replace(".nii.gz", ".json")).read_text())
    assert sidecar == {"Notes": ["a", "b", "c"], "Units": "b"}


def test_files_that_are_no_images_are_copied(tmp_path):
    (tmp_path / "x.txt").write_text("#Insight Transform File V1.0\n")
    name = "sub-01/pet/sub-01_from-pet_to-T1w_mode-image_xfm.txt"
    WriteDerivative(
        in_file=str(tmp_path / "x.txt"),
        output_dir=str(tmp_path / "out"),
        out_path=name,
        write_sidecar=False,
    ).run(cwd=str(tmp_path))
    assert (tmp_path / "out" / name).read_text() == (tmp_path / "x.txt").read_text()
    assert len(list((tmp_path / "out" / name).parent.iterdir())) == 1


def test_what_another_run_wrote_is_replaced(writer, tmp_path, source):
    node = pe.Node(writer, name="write", base_dir=str(tmp_path / "work"))
    node.run()
    assert not writer.always_run
    target = tmp_path / "out" / NAME
    written = target.read_bytes()
    target.write_bytes(b"of another run")
    os.utime(target, (0, 0))
    assert writer.always_run
    node.run()
    assert target.read_bytes() == written
    sidecar = target.with_name("sub-01_desc-preproc_T1w.json")
    sidecar.write_text("{}")
    assert writer.always_run
    node.run()
    assert not writer.always_run
    assert json.loads(sidecar.read_text())["Description"] == "T1w"


@pytest.mark.parametrize("missing", [None, ".nii.gz", ".json"])
def test_runs_again_only_when_a_file_is_missing(writer, tmp_path, missing):
    assert writer.always_run
    node = pe.Node(writer, name="write", base_dir=str(tmp_path / "work"))
    node.run()
    assert not writer.always_run
    folder = (tmp_path / "out" / NAME).parent
    if missing is not None:
        (path,) = folder.glob(f"*{missing}")
        path.unlink()
        assert writer.always_run
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    again = pe.Node(writer, name="write", base_dir=str(tmp_path / "work"))
    again.run()
    after = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert set(after) == {"sub-01_desc-preproc_T1w.nii.gz", "sub-01_desc-preproc_T1w.json"}
    assert (before == after) is (missing is None)


def test_other_metadata_is_another_derivative(writer, tmp_path):
    pe.Node(writer, name="write", base_dir=str(tmp_path / "work")).run()
    writer.inputs.metadata = {"Description": "changed"}
    pe.Node(writer, name="write", base_dir=str(tmp_path / "work")).run()
    sidecar = (tmp_path / "out" / NAME).with_name("sub-01_desc-preproc_T1w.json")
    assert json.loads(sidecar.read_text())["Description"] == "changed"


def test_a_folder_that_cannot_be_made(writer, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError, match=f"cannot write {NAME} below the output folder"):
        writer.run(cwd=str(tmp_path))


def test_an_image_that_cannot_be_written_leaves_no_sidecar(writer, tmp_path):
    target = tmp_path / "out" / NAME
    target.mkdir(parents=True)  # a folder stands where the image should go
    with pytest.raises(OutputError, match="free space or correct permissions"):
        writer.run(cwd=str(tmp_path))
    assert [path.name for path in target.parent.iterdir()] == [target.name]
