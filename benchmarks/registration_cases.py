"""Pairs of a T1w and a PET with a known transform, and what scanners and people do to them."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import simulate
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fusionprep.demo.phantom import random_rotation
from fusionprep.image.io import new_image, read_image, read_volume
from fusionprep.image.masks import find_brain
from fusionprep.image.rigid import Brain

COUNTS_PER_VOXEL = 50.0
"""In the brain of a PET with all its counts, per 2 mm voxel."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A PET to be brought to a T1w.

    Attributes
    ----------
    t1w_from_pet
        (4, 4) RAS mm, the truth.
    mask
        Brain mask on the grid of the T1w, over which the error counts.
    """

    base: str
    name: str
    t1w: nib.Nifti1Image
    pet: nib.Nifti1Image
    t1w_from_pet: np.ndarray
    mask: nib.Nifti1Image


def phantom(folder: Path, subject: str) -> Case:
    """A person of the demo dataset at 1.5 mm, with face and neck."""
    from fusionprep.demo.dataset import write_demo_dataset

    # a person is known by the place in the dataset, not by the label
    truth = write_demo_dataset(folder, voxel_size=1.5)[subject]
    images = folder / f"sub-{subject}"
    t1w_path, pet_path = (next(images.rglob(f"*_{kind}.nii.gz")) for kind in ("T1w", "pet"))
    t1w, pet = read_volume(t1w_path, "T1w"), static(pet_path)
    return Case(
        f"phantom {subject}", "", t1w, pet, truth.t1w_from_pet,
        nib.as_closest_canonical(nib.load(truth.brain_mask)),
    )  # fmt: skip


def real(bids: Path, truth: np.ndarray) -> Case:
    """The normal adult, T1w and FDG; the brain is the one that fusionapp finds."""
    t1w = read_volume(bids / "sub-0001/anat/sub-0001_T1w.nii.gz", "T1w")
    pet = static(bids / "sub-0001/pet/sub-0001_pet.nii.gz")
    return Case("real", "", t1w, pet, truth, found_brain(t1w))


def half_real(name: str, folder: Path, t1w: Path, brain: Path | None = None) -> Case:
    """A real whole head and an FDG PET simulated from it."""
    truth = simulate.write_subject(t1w, folder, brain_path=brain)
    pet = static(folder / "sub-01/pet/sub-01_trc-18FFDG_pet.nii.gz")
    return Case(name, "", read_volume(t1w, "T1w"), pet, truth.t1w_from_pet, truth.mask)


def found_brain(t1w: nib.Nifti1Image) -> nib.Nifti1Image:
    """The brain mask as fusionapp makes it."""
    mask, _ = find_brain(np.asarray(t1w.dataobj, dtype=np.float32), t1w.affine)
    return new_image(mask.astype(np.uint8), t1w.affine)


def static(path: Path) -> nib.Nifti1Image:
    """The mean over frames of a PET."""
    image = read_image(path)
    data = np.nan_to_num(np.asarray(image.dataobj))
    return new_image(data.reshape(*data.shape[:3], -1).mean(axis=3), image.affine)


def degraded(base: Case, seed: int, codes: Iterator[tuple[int, ...]]) -> Iterator[Case]:
    """Everything that is done to one pair; each PET is stored in another of the 48 orientations."""
    rng = np.random.default_rng(seed)
    for degrees in (10, 20, 30, 30, 45, 45):
        yield stored(tilted(base, rng, degrees, f"head turned by {degrees} degrees"), next(codes))
    for millimetres in (30, 80, 150, 150):
        case = tilted(base, rng, 8, f"origin off by {millimetres} mm")
        yield stored(shifted(case, rng, millimetres), next(codes))
    for axis in "xyz":
        case = tilted(base, rng, 8, f"axes off by 90 degrees about {axis}")
        yield stored(turned(case, axis), next(codes))
    for axis, keep in ((2, "upper"), (2, "lower"), (0, "left"), (1, "front")):
        case = tilted(base, rng, 12, f"{keep} half of the field of view")
        yield stored(cropped(case, axis, upper=keep in ("upper", "front")), next(codes))
    for degrees in (10, 25):
        case = tilted(base, rng, degrees, f"a tenth of the counts, {degrees} degrees")
        yield stored(noisy(case, rng, 0.1), next(codes))
    for degrees in (10, 25):
        case = tilted(base, rng, degrees, f"slices of 6 mm, {degrees} degrees")
        yield stored(thick(case, 6.0), next(codes))
    case = shifted(tilted(base, rng, 20, "all at once: origin, counts, slices"), rng, 100)
    yield stored(noisy(thick(case, 6.0), rng, 0.1), next(codes))
    for degrees in (10, 25):
        case = tilted(base, rng, degrees, f"no face, {degrees} degrees")
        yield stored(defaced(case), next(codes))


def orientations(seed: int) -> Iterator[tuple[int, ...]]:
    """The 48 ways of storing a volume, again and again, as permutation and signs."""
    all_codes = [
        (*order, *signs)
        for order in itertools.permutations(range(3))
        for signs in itertools.product((1, -1), repeat=3)
    ]
    shuffled = np.random.default_rng(seed).permutation(len(all_codes))
    return itertools.cycle([all_codes[index] for index in shuffled])


def tilted(case: Case, rng: np.random.Generator, degrees: float, name: str) -> Case:
    """The head in another pose in the PET scanner: resampled on a grid of the same axes."""
    pet_from_t1w = np.linalg.inv(case.t1w_from_pet)
    centre = nib.affines.apply_affine(pet_from_t1w, Brain.from_mask(case.mask).centre)
    move = about(centre, random_rotation(rng, degrees), rng.uniform(-8, 8, 3))
    old = case.pet
    shape = np.ceil(np.array(old.shape) * 1.15).astype(int)
    affine = old.affine.copy()
    affine[:3, 3] -= affine[:3, :3] @ ((shape - old.shape) / 2)
    old_from_new = np.linalg.inv(old.affine) @ np.linalg.inv(move) @ affine
    data = ndimage.affine_transform(
        old.get_fdata(), old_from_new, output_shape=tuple(shape), order=1
    )
    pet = new_image(data.astype(np.float32), affine)
    return dataclasses.replace(
        case, name=name, pet=pet, t1w_from_pet=case.t1w_from_pet @ np.linalg.inv(move)
    )


def shifted(case: Case, rng: np.random.Generator, millimetres: float) -> Case:
    """A header with another origin."""
    direction = rng.standard_normal(3)
    move = nib.affines.from_matvec(np.eye(3), millimetres * direction / np.linalg.norm(direction))
    return with_header(case, move)


def turned(case: Case, axis: str) -> Case:
    """A header whose axes are off by a right angle."""
    rotation = Rotation.from_euler(axis, 90, degrees=True).as_matrix()
    centre = case.pet.affine @ [*(np.array(case.pet.shape) - 1) / 2, 1]
    return with_header(case, about(centre[:3], rotation, np.zeros(3)))


def with_header(case: Case, move: np.ndarray) -> Case:
    """The same voxels, said to lie elsewhere."""
    pet = new_image(case.pet.get_fdata(dtype=np.float32), move @ case.pet.affine)
    return dataclasses.replace(case, pet=pet, t1w_from_pet=case.t1w_from_pet @ np.linalg.inv(move))


def hardest(base: Case, seed: int, codes: Iterator[tuple[int, ...]]) -> Iterator[Case]:
    """What should often fail, to see whether verdicts say so: little of the brain, few counts."""
    rng = np.random.default_rng(seed)
    for keep in (0.35, 0.25):
        for axis, part in ((2, "upper"), (2, "lower"), (0, "left"), (1, "front"), (1, "back")):
            case = tilted(base, rng, 12, f"{part} {keep:.0%} of the field of view")
            upper = part in ("upper", "front")
            yield stored(cropped(case, axis, upper=upper, keep=keep), next(codes))
    for share in (0.02, 0.005):
        case = tilted(base, rng, 12, f"{share:.1%} of the counts")
        yield stored(noisy(case, rng, share), next(codes))


def cropped(case: Case, axis: int, *, upper: bool, keep: float = 0.5) -> Case:
    """Only part of the brain's extent along an axis lies in the field of view."""
    pet_from_t1w = np.linalg.inv(case.pet.affine) @ np.linalg.inv(case.t1w_from_pet)
    voxels = np.argwhere(np.asarray(case.mask.dataobj) > 0)[::97]
    inside = nib.affines.apply_affine(pet_from_t1w @ case.mask.affine, voxels)[:, axis]
    low, high = inside.min(), inside.max()
    edge = round(high - keep * (high - low) if upper else low + keep * (high - low))
    part = [slice(None)] * 3
    part[axis] = slice(edge, None) if upper else slice(0, edge)
    return dataclasses.replace(case, pet=case.pet.slicer[tuple(part)])


def noisy(case: Case, rng: np.random.Generator, share: float) -> Case:
    """Poisson noise of a share of the counts."""
    data = np.maximum(case.pet.get_fdata(), 0)
    volume = np.prod(nib.affines.voxel_sizes(case.pet.affine)) / 8
    bright = np.percentile(data[data > 0.1 * data.max()], 75)
    counts = data / bright * COUNTS_PER_VOXEL * volume * share
    pet = new_image(rng.poisson(counts).astype(np.float32), case.pet.affine)
    return dataclasses.replace(case, pet=pet)


def thick(case: Case, millimetres: float) -> Case:
    """Thick slices along the third axis."""
    affine = case.pet.affine.copy()
    n = max(1, round(millimetres / np.linalg.norm(affine[:3, 2])))
    data = case.pet.get_fdata()
    slabs = data[..., : data.shape[2] // n * n].reshape(*data.shape[:2], -1, n).mean(axis=3)
    affine[:3, 3] += affine[:3, 2] * (n - 1) / 2
    affine[:3, 2] *= n
    return dataclasses.replace(case, pet=new_image(slabs.astype(np.float32), affine))


def defaced(case: Case) -> Case:
    """A T1w without what lies before and below the brain, seen from the side."""
    brain = np.asarray(case.mask.dataobj) > 0
    voxels = np.argwhere(brain)
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    data = case.t1w.get_fdata(dtype=np.float32)
    j, k = np.ogrid[: data.shape[1], : data.shape[2]]
    face = (j > (low[1] + high[1]) / 2) & (k < low[2] + 0.55 * (high[2] - low[2]))
    data[:, face & ~ndimage.binary_dilation(brain.any(axis=0), iterations=5)] = 0
    return dataclasses.replace(case, t1w=new_image(data, case.t1w.affine))


def stored(case: Case, code: tuple[int, ...]) -> Case:
    """The same PET with its axes in another order and direction; the affine says which."""
    ornt = np.stack([code[:3], code[3:]], axis=1)
    return dataclasses.replace(case, pet=case.pet.as_reoriented(ornt))


def about(centre: np.ndarray, rotation: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Rotation about a point, then a shift, (4, 4)."""
    return nib.affines.from_matvec(rotation, centre - rotation @ centre + shift)
