"""Regions in the workflow that is built for a plan, and in a run with atlases of the T1w."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.demo.dataset import read_truth
from fusionprep.image.region_values import region_values
from fusionprep.reading import read_table
from tests.app.runs import run_app, sidecar
from tests.app.said import methods
from tests.app.test_suvr_region import workflow
from tests.app.true_regions import true_labels
from tests.validator import issues


def paths_of(built) -> dict[str, dict]:
    """Output paths to the sidecar fields that are known beforehand."""
    nodes = [built.get_node(name) for name in built.list_node_names()]
    return {
        node.inputs.out_path: getattr(node.inputs, "metadata", None)
        for node in nodes
        if getattr(node.inputs, "out_path", "")
    }


@pytest.fixture
def own_atlas(tmp_path) -> str:
    """The path of an atlas of each subject; a folder of FreeSurfer's lies beside it."""
    file = tmp_path / "rois" / "sub-01_space-T1w_seg-Lab_dseg.nii.gz"
    segmentation = tmp_path / "fs" / "sub-01" / "mri" / "aparc+aseg.mgz"
    for path in (file, segmentation):
        path.parent.mkdir(parents=True)
        path.touch()
    return str(file.with_name("sub-{subject}_space-T1w_seg-Lab_dseg.nii.gz"))


def test_each_atlas_is_brought_once_and_measured_in_each_pet(tmp_path, own_atlas):
    built = workflow(
        tmp_path, "trc-FDG_pet", "trc-AV45_pet", "ct",
        atlas=("dk", own_atlas), fs_subjects_dir=tmp_path / "fs",
    )  # fmt: skip
    paths = paths_of(built)
    for seg in ("DK", "Lab", "aparcaseg"):
        dseg = f"sub-01/anat/sub-01_space-T1w_seg-{seg}_dseg"
        assert f"{dseg}.tsv" in paths
        assert paths[f"{dseg}.nii.gz"]["SpatialReference"].startswith("bids::sub-01/anat/")
        assert f"sub-01/figures/sub-01_seg-{seg}_desc-atlas_T1w.svg" in paths
        for tracer in ("FDG", "AV45"):
            stem = f"sub-01_trc-{tracer}_seg-{seg}"
            morph = paths[f"sub-01/pet/{stem}_morph.tsv"]
            assert f"bids::{dseg}.nii.gz" in morph["Sources"]
            assert f"sub-01/figures/{stem}_desc-regions_pet.svg" in paths
    # all that is named as a source is written too, and nothing names a folder of this machine
    for metadata in filter(None, paths.values()):
        own = {uri for uri in metadata.get("Sources", ()) if uri.startswith("bids::")}
        assert own <= {f"bids::{path}" for path in paths}
        assert str(tmp_path) not in str(metadata)
    assert not [path for path in paths if "tacs" in path]
    names = built.list_node_names()
    assert len([name for name in names if name.endswith("bring_atlas")]) == 3
    said = " ".join(methods(built).split())
    assert "Desikan-Killiany atlas [@desikan]" in said
    assert "own segmentation by *FreeSurfer*" in said
    assert "in the space of the T1w" in said
    assert "at least 95% lie in its field of view" in said


def test_curves_are_written_of_dynamic_pet_alone(tmp_path):
    static, dynamic = (
        paths_of(workflow(tmp_path, "trc-FDG_pet", frames=frames)) for frames in (1, 3)
    )
    endings = {path.split("_seg-DK_")[1] for path in dynamic if path.endswith("_tacs.tsv")}
    # without dose there is no SUV, and nothing is written where a node hands nothing over
    assert endings == {"tacs.tsv", *(f"desc-{d}_tacs.tsv" for d in ("sd", "suv", "suvr"))}
    assert not [path for path in static if path.endswith("_tacs.tsv")]


@pytest.mark.parametrize(
    "options", [{"atlas": ("none",)}, {"output_spaces": ("T1w",)}, {"modalities": ("ct",)}]
)
def test_without_atlas_template_or_pet_there_are_no_regions(tmp_path, options):
    images = ("ct",) if "modalities" in options else ("trc-FDG_pet",)
    paths = paths_of(workflow(tmp_path, *images, **options))
    assert not [path for path in paths if "seg-" in path]


def test_a_subject_without_a_segmentation_is_told_of(tmp_path):
    (tmp_path / "fs").mkdir()
    paths = paths_of(workflow(tmp_path, "trc-FDG_pet", fs_subjects_dir=Path(tmp_path / "fs")))
    assert [path for path in paths if "seg-DK" in path]
    assert not [path for path in paths if "seg-aparcaseg" in path]
    (preproc,) = (m for p, m in paths.items() if p.endswith("space-T1w_desc-preproc_pet.nii.gz"))
    assert preproc["Notes"] == [
        "no regions of FreeSurfer's aparc+aseg: there is no sub-01 in the folder of subjects"
    ]


def test_a_segmentation_that_did_not_finish_is_told_of_in_one_line(phantom, finished, tmp_path):
    (tmp_path / "fs" / "sub-01" / "mri").mkdir(parents=True)
    run = run_app(
        phantom, tmp_path / "out", "--fs-subjects-dir", str(tmp_path / "fs"),
        work_dir=finished.work_dir,
    )  # fmt: skip
    assert run.code == 0, run.stderr
    said = "sub-01 has no mri/aparc+aseg.mgz in the folder of subjects"
    assert len([line for line in run.stderr.splitlines() if said in line]) == 1
    assert said in (run.output_dir / "sub-01.html").read_text("utf-8")
    record = sidecar(run.image("01", "preproc"))
    assert [note for note in record["Notes"] if said in note]


def test_a_run_with_an_atlas_of_the_subject_and_one_of_freesurfer(phantom, finished, tmp_path):
    labels = true_labels(read_truth(phantom)["01"])
    t1w = nib.load(finished.output_dir / "sub-01/anat/sub-01_desc-preproc_T1w.nii.gz")
    nib.save(nib.Nifti1Image(labels, t1w.affine), tmp_path / "sub-01_space-T1w_seg-Lab_dseg.nii.gz")
    table = tmp_path / "names.tsv"
    table.write_text("index\tname\n17\tmy hippocampus\n")
    # as FreeSurfer conforms: another orientation, the same places
    mri = tmp_path / "fs" / "sub-01" / "mri"
    mri.mkdir(parents=True)
    turn = nib.orientations.axcodes2ornt(("L", "I", "A"))
    conformed = nib.Nifti1Image(labels, t1w.affine).as_reoriented(turn)
    nib.save(
        nib.MGHImage(conformed.get_fdata().astype(np.int32), conformed.affine),
        mri / "aparc+aseg.mgz",
    )
    run = run_app(
        phantom, tmp_path / "out",
        "--atlas", str(tmp_path / "sub-{subject}_space-T1w_seg-Lab_dseg.nii.gz"),
        "--atlas-labels", str(table), "--fs-subjects-dir", str(tmp_path / "fs"),
        work_dir=finished.work_dir,
    )  # fmt: skip
    assert run.code == 0, run.stderr
    anat, pet = (run.output_dir / "sub-01" / name for name in ("anat", "pet"))
    static = np.asarray(nib.load(run.image("01", "preproc")).dataobj)
    suvr = sidecar(run.image("01", "suvr"))["SUVR"]
    rows = {}
    for seg in ("Lab", "aparcaseg"):
        dseg = nib.load(anat / f"sub-01_space-T1w_seg-{seg}_dseg.nii.gz")
        np.testing.assert_array_equal(np.asarray(dseg.dataobj), labels)
        rows[seg] = {
            int(row["index"]): row
            for row in read_table(pet / f"sub-01_trc-18FFDG_seg-{seg}_morph.tsv")
        }
    assert rows["Lab"][17]["name"] == "my hippocampus"
    assert rows["Lab"][18]["name"] == "label_18"
    assert rows["aparcaseg"][17]["name"] == "Left-Hippocampus"
    for value in region_values(static, labels):
        row = rows["Lab"][value.index]
        assert {key: row[key] for key in ("mean", "sd", "suvr", "absent")} == {
            key: rows["aparcaseg"][value.index][key] for key in ("mean", "sd", "suvr", "absent")
        }
        assert (row["mean"] == "n/a") == bool(value.absent)
        if value.mean is not None:
            assert float(row["mean"]) == pytest.approx(value.mean, rel=1e-5)
            assert float(row["suvr"]) == pytest.approx(value.mean / suvr["Reference"], rel=1e-5)
    assert not issues(run.output_dir)
    report = (run.output_dir / "sub-01.html").read_text()
    assert report.count("seg-Lab_desc-regions_pet.svg") >= 1
    assert report.count("seg-aparcaseg_desc-atlas_T1w.svg") >= 1
