"""The folder that the commands of the pages find themselves in.

A page that needs more of it than is here adds it here, by a function of its own.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from fusionprep.demo.dataset import read_truth, write_demo_dataset
from fusionprep.image.atlases import packaged_labels
from fusionprep.models import weights
from tests.docs.quick import VOXEL_MM

NAMES = {1: "Frontal", 2: "Occipital"}
DAYS = ("ses-d0129", "ses-d0423")
SHIFT_MM = (5.0, -4.0, 6.0)


def make_scene(root: Path) -> None:
    """Write everything but the outputs of the App."""
    write_demo_dataset(root / "bids", voxel_size=VOXEL_MM)
    _aligned_files(root)
    _pairs(root)
    _weights(root / "unet-training")
    _atlases(root)
    _adni(root)
    _oasis(root)
    _cermep(root)
    _two_runs(root)


def raw(root: Path, datatype: str, suffix: str) -> Path:
    """An image of the demo's first subject."""
    (path,) = (root / "bids" / "sub-01" / datatype).glob(f"*_{suffix}.nii.gz")
    return path


def _aligned_files(root: Path) -> None:
    """Volumes and slices on one grid: ``mri``, ``pet``, ``ct``, ``GM_probseg``, ``brain``."""
    truth = read_truth(root / "bids")["01"]
    t1w = nib.load(raw(root, "anat", "T1w"))
    gm, wm, brain = (nib.load(p).get_fdata() for p in (truth.gm, truth.wm, truth.brain_mask))
    mri, pet = t1w.get_fdata() * (brain > 0), 4 * gm + wm
    ct = np.where(brain > 0, 35.0, -1000.0)
    volumes = {"mri": mri, "pet": pet, "ct": ct, "GM_probseg": gm, "brain": brain}
    for name, volume in volumes.items():
        nib.save(nib.Nifti1Image(volume.astype(np.float32), t1w.affine), root / f"{name}.nii.gz")
    for name in ("mri", "pet"):
        _write_slices(volumes[name], [root / f"{name}.png"])


def _pairs(root: Path) -> None:
    names = ("first.png", "second.png")
    for side in ("mri", "pet"):
        volume = nib.load(root / f"{side}.nii.gz").get_fdata()
        _write_slices(volume, [root / "pairs" / side / name for name in names])
    shutil.copytree(root / "pairs" / "mri", root / "mine")


def _write_slices(volume: np.ndarray, paths: Iterable[Path]) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        plane = volume[:, :, volume.shape[2] // 2 + 3 * number]
        Image.fromarray(np.uint8(255 * plane / volume.max())).resize((96, 96)).save(path)


def _weights(folder: Path) -> None:
    """What a training run leaves, here with the packaged weights."""
    folder.mkdir()
    for suffix in (".safetensors", ".json"):
        shutil.copy(
            Path(weights.__file__).parents[1] / "data" / "weights" / f"unet{suffix}", folder
        )


def _atlases(root: Path) -> None:
    """Labels of two halves, front and back, in the space of the template and of the T1w."""
    table = "index\tname\n" + "".join(f"{index}\t{name}\n" for index, name in NAMES.items())
    (root / "lobes.tsv").write_text(table)
    atlas = packaged_labels()
    template = "space-MNI152NLin2009aSym_seg-Lobes_dseg"
    _write_halves(np.asarray(atlas.dataobj) > 0, atlas.affine, root / f"{template}.nii.gz")
    (root / f"{template}.tsv").write_text(table)
    brain = nib.load(root / "brain.nii.gz")
    mask = brain.get_fdata() > 0
    (root / "manual").mkdir()
    own = root / "manual" / "sub-01_space-T1w_seg-Manual_dseg.nii.gz"
    _write_halves(mask, brain.affine, own)
    mri = root / "subjects" / "sub-01" / "mri"
    mri.mkdir(parents=True)
    hippocampi = np.where(nib.load(own).get_fdata() == 1, 17, 53) * mask
    nib.save(nib.MGHImage(hippocampi.astype(np.int32), brain.affine), mri / "aparc+aseg.mgz")


def _write_halves(mask: np.ndarray, affine: np.ndarray, path: Path) -> None:
    front = np.arange(mask.shape[1])[None, :, None] > mask.shape[1] // 2
    labels = np.where(front, 1, 2) * mask
    nib.save(nib.Nifti1Image(labels.astype(np.int16), affine), path)


def _described(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    description = {"Name": folder.name, "BIDSVersion": "1.8.0"}
    (folder / "dataset_description.json").write_text(json.dumps(description))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _adni(root: Path) -> None:
    """As Clinica converts it: a session, ``trc-`` and ``rec-``, no sidecars."""
    _described(root / "adni")
    stem = "sub-ADNI027S0074_ses-M000"
    session = root / "adni" / "sub-ADNI027S0074" / "ses-M000"
    _copy(raw(root, "anat", "T1w"), session / "anat" / f"{stem}_T1w.nii.gz")
    pet = session / "pet" / f"{stem}_trc-18FFDG_rec-coregiso_pet.nii.gz"
    _copy(raw(root, "pet", "pet"), pet)


def _oasis(root: Path) -> None:
    """Sessions of MRI and PET by days, the tracer in ``acq-``, nothing at the top."""
    subject = root / "oasis3" / "sub-OAS30001"
    mri, pet = DAYS
    stem = f"sub-OAS30001_{mri}_run-01_T1w.nii.gz"
    _copy(raw(root, "anat", "T1w"), subject / mri / "anat" / stem)
    stem = f"sub-OAS30001_{pet}_acq-PIB_pet"
    _copy(raw(root, "pet", "pet"), subject / pet / "pet" / f"{stem}.nii.gz")
    for session in DAYS:
        _described(subject / session)


def _cermep(root: Path) -> None:
    """No sessions and no ``trc-``, a folder ``ct``; and the aligned release without folders."""
    cermep, stem = root / "cermep", "sub-0001"
    _described(cermep)
    for datatype, suffix in (("anat", "T1w"), ("anat", "FLAIR"), ("ct", "ct"), ("pet", "pet")):
        source = raw(root, datatype, suffix)
        _copy(source, cermep / stem / datatype / f"{stem}_{suffix}.nii.gz")
    aligned = cermep / "derivatives" / "coregistration" / stem
    _copy(raw(root, "anat", "T1w"), aligned / f"{stem}_space-pet_T1w.nii.gz")
    _copy(root / "pet.nii.gz", aligned / f"{stem}_space-pet_pet.nii.gz")


def _two_runs(root: Path) -> None:
    """A PET from 0 to 30 and one from 50 to 70 min of the same injection, the head moved."""
    folder = root / "runs"
    shutil.copytree(root / "bids" / "sub-01", folder / "sub-01")
    _described(folder)
    (old,) = (folder / "sub-01" / "pet").glob("*_pet.nii.gz")
    image, sidecar = nib.load(old), json.loads(_sidecar(old).read_text())
    sidecar.pop("DecayCorrectionFactor")
    for run, start, minutes in (("1", 0, 30), ("2", 3000, 20)):
        path = old.with_name(f"sub-01_trc-18FFDG_run-{run}_pet.nii.gz")
        affine = image.affine.copy()
        affine[:3, 3] += np.multiply(SHIFT_MM, start > 0)
        nib.save(nib.Nifti1Image(image.get_fdata(dtype=np.float32), affine), path)
        times = {"ScanStart": start, "FrameTimesStart": [start], "FrameDuration": [60 * minutes]}
        decay = {"ImageDecayCorrected": True, "ImageDecayCorrectionTime": 0}
        _sidecar(path).write_text(
            json.dumps({**sidecar, **times, **decay, "InjectionStart": 0, "TimeZero": "10:00:00"})
        )
    _sidecar(old).unlink()
    old.unlink()


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name.replace(".nii.gz", ".json"))
