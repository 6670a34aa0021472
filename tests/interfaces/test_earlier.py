"""Brain masks and tissues of others in the place of our own, or refused with a note."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.names import NOTES, TAKEN_OVER
from fusionprep.image.segmentation import LESION
from fusionprep.interfaces.anatomical import Conform, ExtractBrain, Segment
from fusionprep.interfaces.earlier import TakeOver
from fusionprep.interfaces.files import load, save

MASK_FROM = {"Dataset": "lab", "Software": "lab 1", "Files": ["bids:lab:mask.nii.gz"]}
TISSUES_FROM = {"Dataset": "fs", "Software": "fs 2", "Files": ["bids:fs:gm.nii.gz"]}


@pytest.fixture
def made(small_person, tmp_path):
    """Paths of the conformed T1w and of the true mask and fractions."""
    folder, truth = small_person
    head = Conform(in_file=str(folder / "anat" / "sub-01_T1w.nii.gz"))
    conformed = head.run(cwd=tmp_path).outputs.out_file
    maps = {name: str(getattr(truth, name)) for name in ("gm", "wm", "csf")}
    return conformed, str(truth.brain_mask), maps


def take(made, tmp_path, *, mask=None, **maps):
    conformed, true_mask, true_maps = made
    return TakeOver(
        t1w=conformed,
        mask=mask or true_mask,
        mask_t1w=conformed,
        mask_from=MASK_FROM,
        tissues_from=TISSUES_FROM,
        **{**true_maps, **maps},
    ).run(cwd=tmp_path).outputs  # fmt: skip


def test_what_fits_takes_the_place_of_our_own(made, tmp_path):
    conformed, true_mask, maps = made
    taken = take(made, tmp_path)
    assert taken.metadata == {}
    assert taken.brain_from["Sources"] == MASK_FROM["Files"]
    told = taken.brain_from[TAKEN_OVER]
    assert told["Dice"] > 0.9
    assert told["Correlation"] == pytest.approx(1)
    brain = ExtractBrain(
        in_file=conformed, source="T1w", earlier=taken.out_mask, earlier_from=taken.brain_from
    )
    brain = brain.run(cwd=tmp_path).outputs
    np.testing.assert_array_equal(load(brain.out_mask)[0], load(true_mask)[0] > 0)
    assert brain.metadata["Method"] == "lab 1"
    assert brain.metadata[TAKEN_OVER] == told
    assert brain.t1w_metadata == {"SkullStripped": False}
    segmented = Segment(
        in_file=conformed,
        mask=brain.out_mask,
        earlier=taken.fractions,
        earlier_from=taken.tissues_from,
    )
    segmented = segmented.run(cwd=tmp_path).outputs
    assert (segmented.notes, segmented.origin[TAKEN_OVER]["Software"]) == ({}, "fs 2")
    inside = load(true_mask)[0] > 0
    truth = nib.load(maps["gm"]).get_fdata() * inside
    np.testing.assert_allclose(load(segmented.out_gm)[0], truth, atol=0.01)


def test_what_does_not_fit_is_refused_with_its_reason(made, tmp_path):
    conformed, true_mask, maps = made
    image = nib.load(true_mask)
    shifted = image.affine.copy()
    shifted[2, 3] -= 30
    wrong = save(nib.Nifti1Image(np.asarray(image.dataobj), shifted), tmp_path, "wrong")
    taken = take(made, tmp_path, mask=wrong, gm=maps["wm"], wm=maps["gm"])
    assert not isinstance(taken.out_mask, (str, Path))
    assert taken.brain_from == {}
    (note,) = taken.metadata[NOTES]
    assert note.startswith("did not take over the brain mask of lab: its overlap with a rough mask")
    segmented = Segment(
        in_file=conformed, mask=true_mask, earlier=taken.fractions, earlier_from=taken.tissues_from
    )
    segmented = segmented.run(cwd=tmp_path).outputs
    assert "do not rise from its CSF to gray to white" in segmented.notes[NOTES][0]
    assert segmented.origin == {}
    # as without them
    plain = Segment(in_file=conformed, mask=true_mask).run(cwd=tmp_path).outputs
    np.testing.assert_array_equal(load(segmented.out_dseg)[0], load(plain.out_dseg)[0])


def test_tissues_of_others_have_none_in_a_lesion(made, tmp_path):
    conformed, true_mask, _ = made
    taken = take(made, tmp_path)
    image = nib.load(true_mask)
    lesion = np.zeros(image.shape, np.uint8)
    lesion[tuple(slice(size // 2, size // 2 + 4) for size in image.shape)] = 1
    segmented = Segment(
        in_file=conformed,
        mask=true_mask,
        earlier=taken.fractions,
        earlier_from=taken.tissues_from,
        lesion=save(nib.Nifti1Image(lesion, image.affine), tmp_path, "lesion"),
    )
    segmented = segmented.run(cwd=tmp_path).outputs
    assert segmented.origin
    inside = (lesion > 0) & (load(true_mask)[0] > 0)
    assert inside.any()
    np.testing.assert_array_equal(load(segmented.out_dseg)[0] == LESION, inside)
    for tissue in ("gm", "wm", "csf"):
        assert not load(getattr(segmented, f"out_{tissue}"))[0][inside].any()
