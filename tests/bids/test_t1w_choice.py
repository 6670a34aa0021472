"""Which T1w of several is taken, and when even the best is in doubt."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.bids.skeleton import (
    PET_SIDECAR,
    only_pairing,
    only_plan,
    pet,
    t1w,
    write_dataset,
    write_image,
    write_json,
)


@pytest.mark.parametrize(
    ("files", "chosen", "reason"),
    [
        ([("_run-01", 1.0), ("_run-02", 1.0)], "_run-01", "first run"),
        ([("_run-10", 1.0), ("_run-9", 1.0)], "_run-9", "first run"),
        ([("_run-01", 1.2), ("_run-02", 1.0)], "_run-02", "smallest voxels"),
        ([("_acq-GRAPPA2", 0.8), ("_acq-mprage", 1.0)], "_acq-mprage", "un-accelerated"),
        ([("_ce-gd", 0.8), ("", 1.0)], "", "without contrast agent"),
        ([("_acq-b", 1.0), ("_acq-a", 1.0), ("_acq-c", 1.0)], "_acq-a", "of 3 T1w the first by"),
        ([("_acq-gdmprage", 0.8), ("_acq-mprage", 1.0)], "_acq-mprage", "without contrast agent"),
        ([("_acq-T1Gd", 0.8), ("_acq-b", 1.0)], "_acq-b", "without contrast agent"),
        ([("_acq-mpragePost", 0.8), ("_acq-pre", 1.0)], "_acq-pre", "without contrast agent"),
        ([("_acq-t1c", 0.8), ("_acq-t1cor", 1.0)], "_acq-t1cor", "without contrast agent"),
        ([("_acq-postGAD", 0.8), ("_acq-preGAD", 1.0)], "_acq-preGAD", "without contrast agent"),
        ([("_acq-postop", 0.8), ("_acq-b", 1.0)], "_acq-postop", "smallest voxels"),
        ([("_acq-space", 0.8), ("_acq-b", 1.0)], "_acq-space", "smallest voxels"),
        ([("_echo-1", 0.8), ("_echo-2", 0.8), ("", 1.0)], "", "of all echoes"),
        ([("_chunk-1", 0.8), ("_chunk-2", 0.8), ("_run-2", 1.0)], "_run-2", "and chunks"),
        ([("_acq-cspine", 0.8), ("_acq-brain", 1.0)], "_acq-brain", "one of the brain"),
        ([("_acq-DixonWater", 0.8), ("_acq-mprage", 1.0)], "_acq-mprage", "other than Dixon"),
        ([("_acq-mpragdixon", 0.8), ("_acq-b", 1.0)], "_acq-b", "other than Dixon"),
        ([("_acq-HeadMRAC", 0.8), ("", 1.0)], "", "other than Dixon"),
        ([("_acq-vibe", 0.8), ("", 1.0)], "", "other than Dixon"),
        ([("_acq-AAHScout", 0.8), ("", 1.0)], "", "other than Dixon"),
    ],
)
def test_choice_among_several_t1w(tmp_path, files, chosen, reason):
    root = write_dataset(tmp_path, pet("a"))
    for rest, voxel_size in files:
        write_image(root / t1w("a", rest), voxel_size=voxel_size)
    pairing = only_pairing(root)
    assert pairing.t1w.path.name == Path(t1w("a", chosen)).name
    assert reason in pairing.reason


@pytest.mark.parametrize(
    ("files", "chosen", "reasons"),
    [
        # a slab through the hippocampi, fine in its plane, beside a whole head
        ([("_acq-hippo", (512, 512, 12), (0.4, 0.4, 2.0)), ("_acq-b", (60, 72, 60), 3.0)],
         "_acq-b", ("one that covers most of the head",)),
        ([("_acq-a", (160, 170, 20), (1.5, 1.5, 9.0)), ("_acq-b", (80, 80, 60), 3.0)],
         "_acq-b", ("smallest voxels by their longest edge",)),
        # the order of axes does not matter
        ([("_acq-a", (12, 256, 256), (4.0, 1.0, 1.0)), ("_acq-b", (90, 109, 91), 2.0)],
         "_acq-b", ("one that covers most of the head",)),
        # a larger field of view than a head needs does not count
        ([("_acq-a", (256, 256, 128), (1.0, 1.0, 1.4)), ("_acq-b", (160, 180, 140), 1.0)],
         "_acq-b", ("smallest voxels",)),
        ([("_acq-a", (30, 180, 180), 1.0), ("_ce-gd", (160, 180, 150), 1.0),
          ("_run-1", (160, 180, 150), 1.0), ("_run-2", (160, 180, 150), 1.0)],
         "_run-1", ("covers most of the head", "without contrast agent", "first run")),
    ],
)  # fmt: skip
def test_the_t1w_that_shows_the_head_is_chosen(tmp_path, files, chosen, reasons):
    root = write_dataset(tmp_path, pet())
    for rest, shape, sizes in files:
        write_volume(root / t1w(rest=rest), shape, sizes)
    pairing = only_pairing(root)
    assert pairing.t1w.path.name == Path(t1w(rest=chosen)).name
    assert all(reason in pairing.reason for reason in reasons)
    assert not pairing.doubts


def write_volume(path, shape, sizes):
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*np.broadcast_to(sizes, 3), 1])
    nib.save(nib.Nifti1Image(np.zeros(shape, np.uint8), affine), path)


@pytest.mark.parametrize(
    ("sidecar", "chosen"),
    [
        ({"ContrastBolusAgent": "Gadovist"}, "_acq-b"),
        ({"ContrastBolusAgent": "none"}, "_acq-a"),
        ({"BodyPartExamined": "CSPINE"}, "_acq-b"),
        ({"BodyPartExamined": "HEADNECK"}, "_acq-a"),
        ({"SeriesDescription": "t1_vibe_dixon_tra_W"}, "_acq-b"),
        ({"ProtocolName": "t1_tse_sag C-Spine"}, "_acq-b"),
        ({"SeriesDescription": "t1_mprage_sag_p2_iso"}, "_acq-a"),
    ],
)
def test_sidecars_tell_which_t1w_is_chosen(tmp_path, sidecar, chosen):
    root = write_dataset(tmp_path, pet(), t1w(rest="_acq-a"), t1w(rest="_acq-b"))
    write_json(root / t1w(rest="_acq-a").replace(".nii.gz", ".json"), sidecar)
    assert only_pairing(root).t1w.path.name == Path(t1w(rest=chosen)).name


@pytest.mark.parametrize(
    ("shape", "sizes", "length"),
    [((256, 256, 12), (0.9, 0.9, 4), 48), ((100, 200, 200), 1.0, 100), ((12, 200, 200), 1.0, 12)],
)
def test_a_slab_alone_is_in_doubt(tmp_path, shape, sizes, length):
    root = write_dataset(tmp_path, pet(), sidecar=PET_SIDECAR)
    write_volume(root / t1w(), shape, sizes)
    plan = only_plan(root)
    (doubt,) = plan.pairings[0].doubts
    assert f"the field of view of {length} mm is outside 120 to" in doubt
    assert plan.notes == (f"sub-01_T1w.nii.gz: {doubt}",)


def test_a_spine_alone_is_in_doubt(tmp_path):
    root = write_dataset(tmp_path, pet(), t1w(rest="_acq-cspine"))
    (doubt,) = only_pairing(root).doubts
    assert doubt == "the T1w may not show the brain: acq- speaks of the spine"
