"""Whether taking noise out of the T1w pays: tissues, registrations and the image, with and without.

Rician noise is added to heads whose truth is known: the demo's, in which it is relative to the
largest signal as in the demo, and real ones, in which it is relative to white matter and adds to
what they have; their tissues as they are, found without denoising, stand for the truth. Brain mask,
bias correction and segmentation are those of the App. The registration to the template is compared
with that of the head as it is; the demo's PET (2 mm) with the transform it was simulated by.
"""

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from partial_volume import make_head, table
from tables import add_option, record
from template import carry

from fusionprep.demo import phantom, scanner
from fusionprep.demo.subject import sample
from fusionprep.image.bias import correct_bias
from fusionprep.image.denoising import Noise, decide, denoise, estimate_noise
from fusionprep.image.io import new_image, read_volume
from fusionprep.image.masks import dice, find_brain
from fusionprep.image.partial_volume import blur
from fusionprep.image.registration import register_rigid
from fusionprep.image.resample import remove_shear
from fusionprep.image.segmentation import TISSUES, segment_tissues
from fusionprep.image.template import TemplateSpace, load_template, register_template

SPACE = TemplateSpace("MNI152NLin2009aSym")
PHANTOM = "demo"
PHANTOM_SCALE = 700.0
"""Units of the demo's T1w per signal."""


@dataclass(frozen=True)
class Scan:
    """A PET, and the transform (4, 4) that it was simulated by."""

    image: nib.Nifti1Image
    t1w_from_pet: np.ndarray


@dataclass(frozen=True)
class Head:
    """A T1w, its truth, and the noise it has of its own.

    ``fractions`` are the true ones by tissue, ``brain`` the true mask, ``unit`` the signal that
    noise is relative to.
    """

    name: str
    t1w: np.ndarray
    affine: np.ndarray
    fractions: Mapping[str, np.ndarray]
    brain: np.ndarray
    unit: float
    own_noise: float
    pet: "Scan | None" = None

    @property
    def sizes(self) -> tuple[float, float, float]:
        x, y, z = nib.affines.voxel_sizes(self.affine)
        return float(x), float(y), float(z)

    def noisy(self, noise: float) -> np.ndarray:
        """The T1w with noise added; the demo's has its bias field too."""
        rng = np.random.default_rng(1)
        if self.name == PHANTOM:
            return scanner.acquire_mr(self.t1w, rng, noise=noise).astype(np.float32)
        real, imaginary = (
            np.float32(noise * self.unit) * rng.standard_normal(self.t1w.shape, dtype=np.float32)
            for _ in range(2)
        )
        return np.hypot(self.t1w + real, imaginary)


@dataclass(frozen=True)
class Seen:
    """What the App makes of a T1w: mask, corrected image, its noise, and it without noise."""

    mask: np.ndarray
    corrected: np.ndarray
    noise: Noise
    clean: np.ndarray
    seconds: dict[str, float]


def main() -> None:
    options = parse()
    tissues: dict[str, dict[str, str]] = {}
    registrations: dict[str, dict[str, str]] = {}
    later = []
    for head in heads(options.t1w, options.voxel_size):
        for noise in options.noise:
            seen, name = look(head, noise), f"{head.name}, {noise:.0%}"
            tissues[name] = of_tissues(head, noise, seen)
            print(name, tissues[name], flush=True)
            later += [(name, head, seen)] * (noise in options.registered)
    references: dict[str, sitk.Transform] = {}
    for name, head, seen in later:
        if head.name not in references:
            references[head.name] = register(head, *preprocess(head, head.noisy(0)))
        registrations[name] = of_registration(head, seen, references[head.name])
        print(name, registrations[name], flush=True)
    tables = {"tissues": as_rows(tissues)}
    if registrations:
        tables["registration"] = as_rows(registrations)
    for title, text in tables.items():
        print(f"\n## {title}\n\n{text}")
    record("denoising", tables, options.record)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("t1w", type=Path, nargs="*", help="real heads; the demo's is always there")
    parser.add_argument("--voxel-size", type=float, default=1.0, help="of the demo, mm; default: 1")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.01, 0.03, 0.05, 0.07, 0.09])
    parser.add_argument(
        "--registered", type=float, nargs="*", default=[0.09], help="noise registered with"
    )
    add_option(parser)
    return parser.parse_args()


def heads(paths: list[Path], size: float) -> Iterator[Head]:
    """The demo's head, and real ones with what is found in them as the truth."""
    demo = make_head(size)
    inside = sum(demo.fractions.values()) > 0.5
    pet = scan(demo.activity, demo.affine, size)
    yield Head(PHANTOM, demo.t1w, demo.affine, demo.fractions, inside, PHANTOM_SCALE, 0.0, pet)
    for path in paths:
        image = remove_shear(read_volume(path, "T1w", missing=0.0), outside=0.0)
        data = np.asarray(image.dataobj, np.float32)
        bare = Head(path.name.split("_")[0], data, image.affine, {}, data > 0, 1.0, 0.0)
        mask, corrected = preprocess(bare, data)
        noise = estimate_noise(corrected, mask)
        fractions = segment_tissues(corrected, mask, bare.sizes).fraction
        yield replace(
            bare, fractions=fractions, brain=mask, unit=noise.white, own_noise=noise.of_white
        )


def scan(activity: np.ndarray, affine: np.ndarray, size: float) -> Scan:
    """The demo's PET: 6 mm, 20 minutes, voxels of 2 mm, turned by 8 degrees at most and moved."""
    rng = np.random.default_rng(3)
    moved = phantom.random_rigid(rng, 8.0, 10.0)
    seen = blur(activity, (scanner.DETECTOR_FWHM_MM,) * 3, (size,) * 3)
    centre = nib.affines.apply_affine(affine, (np.array(activity.shape) - 1) / 2)
    grid = scanner.scanner_grid(centre, (112, 132, 112), (2.0, 2.0, 2.0))
    frames = scanner.Frames((2400.0,), (1200.0,))
    image = scanner.acquire_pet(
        sample(seen, affine, grid, moved, 0.0), grid.voxel_size, frames, rng
    )
    return Scan(new_image(image[..., 0], grid.affine), moved)


def preprocess(head: Head, t1w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brain mask and corrected image."""
    mask, _ = find_brain(t1w, head.affine)
    inside = mask > 0
    return inside, correct_bias(t1w, inside, head.sizes, iterations=(50, 50, 30))


def look(head: Head, noise: float) -> Seen:
    mask, corrected = preprocess(head, head.noisy(noise))
    began = time.process_time()
    found = estimate_noise(corrected, mask)
    measured = time.process_time()
    clean = denoise(corrected, mask, found.sd)
    seconds = {"measured": measured - began, "denoised": time.process_time() - measured}
    return Seen(mask, corrected, found, clean, seconds)


def of_tissues(head: Head, noise: float, seen: Seen) -> dict[str, str]:
    """Noise as it is and as measured, Dice of mask and tissues, and the cost."""
    before, after = (
        segment_tissues(image, seen.mask, head.sizes).fraction
        for image in (seen.corrected, seen.clean)
    )
    cells = {
        "noise measured": f"{seen.noise.sd / head.unit:.1%}",
        "expected": f"{np.hypot(noise, head.own_noise):.1%}",
        "of the contrast": f"{seen.noise.of_contrast:.2f}",
        "`auto`": "on" if decide("auto", seen.noise)[0] else "off",
        "brain": f"{dice(seen.mask, head.brain):.3f}",
    }
    for name in TISSUES:
        scores = (dice(found[name] > 0.5, head.fractions[name] > 0.5) for found in (before, after))
        cells[name] = arrow(scores, 3)
    errors = (
        sum(np.abs(found[name] - head.fractions[name]).sum() for name in TISSUES)
        * np.prod(head.sizes) / 1000
        for found in (before, after)
    )  # fmt: skip
    cells["error, ml"] = arrow(errors, 0)
    cells["CPU s, measured"] = f"{seen.seconds['measured']:.2f}"
    cells["CPU s, denoised"] = f"{seen.seconds['denoised']:.1f}"
    return cells


def arrow(values: Iterable[float], digits: int) -> str:
    """Without and with denoising."""
    return " → ".join(f"{value:.{digits}f}" for value in values)


def of_registration(head: Head, seen: Seen, reference: sitk.Transform) -> dict[str, str]:
    """Differences of the registration to the template from the reference, errors of the PET's."""
    template = load_template(SPACE)
    inside = np.argwhere(np.asarray(template.mask.dataobj) > 0.5)[::1500]
    points = nib.affines.apply_affine(template.mask.affine, inside)
    expected, images = carry(reference, points), (seen.corrected, seen.clean)
    there = [carry(register(head, seen.mask, image), points) for image in images]
    off = [np.linalg.norm(found - expected, axis=1) for found in there]
    cells = {
        "template, mean mm": arrow((values.mean() for values in off), 2),
        "template, 95% of the brain within mm": arrow((np.percentile(v, 95) for v in off), 2),
        "PET, mean mm": "",
    }
    if head.pet is not None:
        cells["PET, mean mm"] = arrow((pet_error(head, seen.mask, i) for i in images), 3)
    return cells


def register(head: Head, mask: np.ndarray, t1w: np.ndarray) -> sitk.Transform:
    """``template_from_t1w``."""
    brain = new_image(np.where(mask, t1w, 0).astype(np.float32), head.affine)
    return register_template(load_template(SPACE).brain, brain).template_from_t1w


def pet_error(head: Head, mask: np.ndarray, t1w: np.ndarray) -> float:
    """How far the registered PET is off on average in the brain, mm."""
    assert head.pet is not None
    found = register_rigid(
        new_image(t1w, head.affine), head.pet.image, new_image(mask.astype(np.uint8), head.affine)
    ).t1w_from_moving
    points = nib.affines.apply_affine(head.affine, np.argwhere(head.brain)[::997])
    back = nib.affines.apply_affine(found @ np.linalg.inv(head.pet.t1w_from_pet), points)
    return float(np.linalg.norm(back - points, axis=1).mean())


def as_rows(cells: Mapping[str, Mapping[str, str]]) -> str:
    """A Markdown table with a line for each head and noise."""
    titles = next(iter(cells.values()))
    columns = {title: {name: row[title] for name, row in cells.items()} for title in titles}
    return table("head, noise added", columns)


if __name__ == "__main__":
    main()
