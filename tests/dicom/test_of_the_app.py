"""DICOM out of the App and of ``fusionprep fuse``."""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest

from fusionprep.cli import main
from fusionprep.config import Config
from fusionprep.dicom import require_pydicom
from fusionprep.errors import UsageError
from fusionprep.interfaces.dicom import WriteDicom
from tests.app.test_workflows import workflow
from tests.dicom.made import SHAPE, levels, nifti, write_dicom

TEMPLATE = "/dicom/{subject}/*_T1"


def test_fused_images_in_t1w_space_are_written_and_the_colours_once(tmp_path):
    built = workflow(tmp_path, models=("average", "max"), dicom_reference=TEMPLATE)
    nodes = [built.get_node(name) for name in built.list_node_names() if ".dicom_" in name]
    found = {node.inputs.out_path: node.inputs.what for node in nodes}
    stem = "sub-01/dicom/sub-01_space-T1w_desc-fused"
    assert found == {
        f"{stem}Average_pet": "Average of T1w and PET",
        f"{stem}AverageColor_pet": "T1w and PET in colour",
        f"{stem}Max_pet": "Max of T1w and PET",
        f"{stem}CTAverage_T1w": "Average of T1w and CT",
        f"{stem}CTMax_T1w": "Max of T1w and CT",
    }
    assert {node.inputs.template for node in nodes} == {TEMPLATE}
    assert all(node.inputs.t1w.endswith("sub-01_T1w.nii.gz") for node in nodes)
    plain = workflow(tmp_path, models=("average",))
    assert not [name for name in plain.list_node_names() if ".dicom_" in name]


def test_the_interface_writes_below_the_output_root_and_again_where_it_is_gone(tmp_path):
    write_dicom(tmp_path / "01" / "3_T1")
    for name, scale in (("t1w", 1), ("fused", 1000)):
        voxels = (levels() / scale).astype(np.float32)
        nifti(voxels).to_filename(tmp_path / f"{name}.nii.gz")
    interface = WriteDicom(
        in_file=str(tmp_path / "fused.nii.gz"),
        t1w=str(tmp_path / "t1w.nii.gz"),
        template=f"{tmp_path}/{{subject}}/*_T1",
        subject="01",
        output_dir=str(tmp_path / "out"),
        out_path="sub-01/dicom/sub-01_pet",
        what="Average of T1w and PET",
        details="fused",
    )
    assert interface.always_run
    written = interface.run(cwd=str(tmp_path)).outputs.out_files
    assert len(written) == SHAPE[2]
    folder = tmp_path / "out" / "sub-01" / "dicom" / "sub-01_pet"
    assert {Path(path).parent for path in written} == {folder}
    assert not interface.always_run


def test_one_series_for_all_subjects_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"put \{subject\}, and \{session\}"):
        Config.from_options(
            bids_dir=tmp_path / "a", output_dir=tmp_path / "b", dicom_reference="/dicom/T1"
        )


def test_fuse_writes_dicom_beside_the_volume(tmp_path, capsys):
    for number, name in enumerate(("mri", "pet")):
        nifti(levels(number).astype(np.float32)).to_filename(tmp_path / f"{name}.nii.gz")
    reference = write_dicom(tmp_path / "series")
    files = [str(tmp_path / name) for name in ("mri.nii.gz", "pet.nii.gz")]
    options = ["--model", "average", "--dicom-reference", str(reference)]
    assert main(["fuse", *files, "-o", str(tmp_path / "fused.nii.gz"), *options]) == 0
    slices = [pydicom.dcmread(path) for path in sorted((tmp_path / "fused_dicom").iterdir())]
    assert slices[0].SeriesDescription == "RESEARCH USE ONLY: fused by Average"
    assert json.loads(slices[0].DerivationDescription)["Name"] == "average"
    found = np.stack([item.pixel_array.T for item in slices], axis=-1) / 4095
    fused = nib.load(tmp_path / "fused.nii.gz")
    place = np.linalg.inv(fused.affine) @ nifti(levels()).affine
    assert np.allclose(place, np.eye(4), atol=1e-4)
    upright = nifti(found.astype(np.float32))
    assert np.abs(upright.get_fdata() - fused.get_fdata()).max() < 1 / 4095
    assert main(["fuse", *files, "-o", str(tmp_path / "fused.png"), *options]) != 0
    assert "--dicom-reference needs a fused volume" in capsys.readouterr().err
    colour = ["fuse", *files, "-o", str(tmp_path / "c.nii.gz"), "--colour", *options]
    assert main(colour) == 0
    first = pydicom.dcmread(tmp_path / "c_dicom" / "0001.dcm")
    assert first.SeriesDescription == "RESEARCH USE ONLY: fused in colour"
    wrong = ["fuse", *reversed(files), "-o", str(tmp_path / "w.nii.gz"), *options]
    assert main(wrong) != 0
    assert "does not show pet.nii.gz" in capsys.readouterr().err
    assert not (tmp_path / "w.nii.gz").exists()


def test_without_pydicom_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(UsageError, match=r"pip install 'fusionprep\[dicom\]'"):
        require_pydicom("--dicom-reference")
