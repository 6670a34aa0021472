"""Tiny folders of the App's derivatives with a planted effect."""

import nibabel as nib
import numpy as np

SHAPE = (12, 12, 12)
AFFINE = np.diag([2.0, 2, 2, 1]) + np.array([[0, 0, 0, -11.0]] * 3 + [[0] * 4])
SPACE = "space-MNI152NLin2009aSym_res-1"


def brain():
    distance = np.linalg.norm(np.indices(SHAPE) - 5.5, axis=0)
    return distance < 5.5


def save(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(np.asarray(data, np.float32), AFFINE).to_filename(path)


def paths(root, subject, session=""):
    visit = root / subject / session
    stem = f"{subject}_{session}".rstrip("_")
    return {
        "t1w": visit / f"anat/{stem}_{SPACE}_desc-preproc_T1w.nii.gz",
        "gm": visit / f"anat/{stem}_{SPACE}_label-GM_probseg.nii.gz",
        "mask": visit / f"anat/{stem}_{SPACE}_desc-brain_mask.nii.gz",
        "pet": visit / f"pet/{stem}_trc-18FFDG_{SPACE}_desc-preproc_pet.nii.gz",
        "suvr": visit / f"pet/{stem}_trc-18FFDG_{SPACE}_desc-suvr_pet.nii.gz",
        "average": visit / f"pet/{stem}_trc-18FFDG_{SPACE}_desc-fusedAverage_pet.nii.gz",
        "gmpet": visit / f"pet/{stem}_trc-18FFDG_{SPACE}_desc-fusedGMPET_pet.nii.gz",
    }


def write_scan(root, rng, subject, label, session="", effect=1.0):
    """Less uptake in one corner and less gray matter in another, each by chance of its own."""
    mask = brain()
    where = np.indices(SHAPE)
    uptake = 1 + 0.15 * rng.normal(size=SHAPE)
    uptake[(where[0] < 6) & (where[1] < 6)] -= effect * (0.06 * label + 0.04 * rng.normal())
    gray = np.clip(0.6 + 0.1 * rng.normal(size=SHAPE), 0, 1)
    gray[(where[0] > 5) & (where[2] > 5)] -= effect * (0.06 * label + 0.04 * rng.normal())
    found = paths(root, subject, session)
    save(found["mask"], mask)
    save(found["t1w"], mask * 700 * (0.5 + gray))
    save(found["gm"], mask * gray)
    save(found["pet"], mask * 9000 * rng.uniform(0.5, 2) * uptake)
    save(found["suvr"], mask * uptake)
    save(found["average"], mask * (uptake + gray) / 4)
    save(found["gmpet"], np.clip(mask * (gray > 0.5) * uptake / 2, 0, 1))
    return uptake[mask].mean(), gray[mask].mean()


def write_derivatives(root, labels, *, classes=("CN", "AD"), effect=1.0, seed=0, sites=4):
    """A cohort with one visit of each subject, whose class is the number in `labels`."""
    rng = np.random.default_rng(seed)
    people = ["participant_id\tdiagnosis\tage\tsex\tsite"]
    regions = ["participant_id\tsession_id\ttracer\tDK_cortex_suvr\tDK_cortex_volume\tDK_x_suvr"]
    for number, label in enumerate(labels):
        subject = f"sub-{number:03d}"
        suvr, volume = write_scan(root, rng, subject, label, effect=effect)
        age = 65 + 10 * rng.uniform() + 5 * label
        people.append(
            f"{subject}\t{classes[label]}\t{age:.1f}\t{'MF'[number // 2 % 2]}\tsite{number % sites}"
        )
        regions.append(f"{subject}\tn/a\t18FFDG\t{suvr:.5f}\t{1e5 * volume:.1f}\tn/a")
    (root / "participants.tsv").write_text("\n".join(people) + "\n")
    (root / "group_regions.tsv").write_text("\n".join(regions) + "\n")
    return root
