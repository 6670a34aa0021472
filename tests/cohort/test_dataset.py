"""What is written: names and tables of the App, valid BIDS, the truth beside it."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.cli import main
from fusionprep.cohort.dataset import write_cohort
from fusionprep.cohort.design import Design, draw_people
from fusionprep.cohort.whole import write_whole
from fusionprep.demo.dataset import read_truth
from fusionprep.errors import OutputError
from fusionprep.reading import read_table
from tests.validator import issues

SPACE = "space-MNI152NLin2009aSym_res-6"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "out"
    command = ["simulate-cohort", str(out), "--subjects", "6", "--mci", "--voxel-size", "6"]
    assert main([*command, "--correlation", "0.3", "--seed", "7"]) == 0
    return out


def image(cohort: Path, name: str) -> nib.Nifti1Image:
    return nib.load(cohort / "sub-001" / name)


def test_files_are_named_as_the_app_names_them(cohort):
    found = {
        path.relative_to(cohort).as_posix()
        for path in (cohort / "sub-001").rglob("*")
        if path.is_file() and path.suffix != ".json"
    }
    assert found == {
        f"sub-001/anat/sub-001_{SPACE}_desc-preproc_T1w.nii.gz",
        f"sub-001/anat/sub-001_{SPACE}_desc-brain_mask.nii.gz",
        f"sub-001/anat/sub-001_{SPACE}_label-GM_probseg.nii.gz",
        f"sub-001/pet/sub-001_trc-18FFDG_{SPACE}_desc-suvr_pet.nii.gz",
        "sub-001/pet/sub-001_trc-18FFDG_seg-DK_morph.tsv",
    }


def test_the_validator_has_nothing_to_say(cohort):
    assert issues(cohort) == []


def test_images_lie_on_one_grid_of_the_template(cohort):
    suvr = image(cohort, f"pet/sub-001_trc-18FFDG_{SPACE}_desc-suvr_pet.nii.gz")
    gm = image(cohort, f"anat/sub-001_{SPACE}_label-GM_probseg.nii.gz")
    mask = image(cohort, f"anat/sub-001_{SPACE}_desc-brain_mask.nii.gz").get_fdata() > 0
    assert np.array_equal(suvr.affine, gm.affine)
    assert np.allclose(nib.affines.voxel_sizes(suvr.affine), 6)
    assert suvr.header["sform_code"] == 4
    assert suvr.get_fdata()[mask].mean() == pytest.approx(1.0, abs=1e-3)
    assert 0 <= gm.get_fdata().min() < 0.05 < 0.9 < gm.get_fdata().max() < 1.001
    assert 1.2e6 < mask.sum() * 6**3 < 2.2e6


def test_tables(cohort):
    people = read_table(cohort / "participants.tsv")
    assert [row["diagnosis"] for row in people].count("MCI") == 2
    assert {row["scanner"] for row in people} == {"sharp", "smooth"}
    assert not {"atrophy", "hypometabolism"} & set(people[0])
    described = json.loads((cohort / "participants.json").read_text())
    assert set(described) == {"Description", *people[0]}
    regions = read_table(cohort / "group_regions.tsv")
    assert [row["participant_id"] for row in regions] == [row["participant_id"] for row in people]
    assert 0.3 < float(regions[0]["DK_Left-Hippocampus_suvr"]) < 1.5
    assert float(regions[0]["DK_ctx-lh-precuneus_volume"]) > 1000


def test_the_truth_lies_beside_it(cohort):
    severities = read_table(cohort / "sourcedata" / "truth" / "severities.tsv")
    assert len(severities) == 6
    told = json.loads((cohort / "sourcedata" / "truth" / "ceilings.json").read_text())
    assert told["Correlation"] == 0.3
    assert told["Ceilings"]["both"]["d"] == pytest.approx(np.sqrt(1.4 / 0.91))
    assert 0 <= told["AreasInThisSample"]["atrophy"] <= 1


def test_same_seed_same_bytes(cohort, tmp_path):
    again = tmp_path / "again"
    command = ["simulate-cohort", str(again), "--subjects", "6", "--mci", "--voxel-size", "6"]
    main([*command, "--correlation", "0.3", "--seed", "7"])
    files = sorted(path.relative_to(cohort) for path in cohort.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(again) for p in again.rglob("*") if p.is_file())
    assert all((cohort / name).read_bytes() == (again / name).read_bytes() for name in files)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not an empty folder"):
        write_cohort(tmp_path, Design(4))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--null", "--effect-mri", "1"], "--null leaves no effect"),
        (["--effect-pet", "7"], "between 0 and 3"),
        (["--correlation", "1"], "between -1 and 1"),
        (["--subjects", "5", "--mci"], "at least 6"),
    ],
)
def test_what_cannot_be_is_refused(options, told, tmp_path, capsys):
    assert main(["simulate-cohort", str(tmp_path / "out"), *options]) == 64
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_null_sets_all_ceilings_to_chance(tmp_path, capsys):
    out = tmp_path / "out"
    main(["simulate-cohort", str(out), "--subjects", "4", "--voxel-size", "8", "--null"])
    assert "atrophy 0.500, hypometabolism 0.500, both 0.500" in capsys.readouterr().out


def test_whole_heads_of_the_same_people(tmp_path):
    design = Design(4, seed=7)
    write_whole(tmp_path, design, voxel_size=4.0)
    people, truth = draw_people(design), read_truth(tmp_path)
    for person, row in zip(people, read_table(tmp_path / "participants.tsv"), strict=True):
        assert row["participant_id"] == f"sub-{person.label}"
        assert (row["diagnosis"], row["scanner"]) == (person.diagnosis, person.scanner.name)
        assert nib.load(truth[person.label].gm).get_fdata().sum() > 0
    assert issues(tmp_path, severities=["error"]) == []
    assert len(read_table(tmp_path / "sourcedata" / "truth" / "severities.tsv")) == 4
