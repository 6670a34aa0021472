"""What a lesion costs the T1w's processing, with its mask and without.

A ball of 30 mm across with the intensity of fluid, as an old infarct leaves it, is planted in the
demo's first head and in real heads, without pushing what is around. Each head is then processed as
fusionapp does: healthy, with the lesion, and with the lesion and its mask. Errors are differences
from the healthy head: of the registration to the template in mm, by distance from the lesion's
edge, and of tissue labels outside of the lesion. The PET of the demo's head, cold or hot in the
lesion, is registered to the T1w.
"""

import argparse
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import registration_cases as cases
from scipy import ndimage
from tables import add_option, record
from template import carry

from fusionprep.demo import phantom
from fusionprep.demo.scanner import acquire_mr
from fusionprep.demo.subject import Lesion, Traits, load_template, make_subject, sample
from fusionprep.evaluation.registration import target_registration_error
from fusionprep.image import partial_volume as pvc
from fusionprep.image.bias import correct_bias
from fusionprep.image.io import new_image, read_volume
from fusionprep.image.lesions import place_lesion
from fusionprep.image.masks import dice
from fusionprep.image.registration import register_rigid
from fusionprep.image.resample import remove_shear
from fusionprep.image.segmentation import TISSUES, segment_tissues
from fusionprep.image.template import TemplateSpace, register_template
from fusionprep.image.template import load_template as read_template

RADIUS_MM = 15.0
PLACES = {"left": (0.30, 0.50, 0.58), "right": (0.72, 0.38, 0.62)}
"""Of real heads, as fractions of the extent of the brain from left, back and bottom."""

DISTANCES = {"in the lesion": (-1, 0), "to 10 mm": (0, 10), "to 20 mm": (10, 20),
             "beyond 20 mm": (20, 1e9), "outside": (0, 1e9)}  # fmt: skip
CONDITIONS = ("without mask", "with mask")
TRAITS = Traits((1.02, 0.97, 1.00), 1.0, 3.0)


@dataclass(frozen=True)
class Case:
    """A head with and without a lesion, and the lesion's mask, on one grid."""

    name: str
    healthy: np.ndarray
    sick: np.ndarray
    lesion: np.ndarray
    affine: np.ndarray


@dataclass(frozen=True)
class Processed:
    """What comes out: where template points lie in the T1w, labels, brain mask, CPU seconds."""

    there: np.ndarray
    labels: np.ndarray
    brain: np.ndarray
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("t1w", type=Path, nargs="*", help="whole heads")
    add_option(parser)
    options = parser.parse_args()
    template = read_template(TemplateSpace("MNI152NLin2009aSym"))
    inside = np.argwhere(np.asarray(template.mask.dataobj) > 0.5)[::97]
    points = nib.affines.apply_affine(template.mask.affine, inside)
    warps, tissues = [], []
    for case in (demo_case(), *(found for path in options.t1w for found in planted(path))):
        healthy = process(case, points, template.brain, None)
        for condition in CONDITIONS:
            found = process(case, points, template.brain, condition)
            warps.append({"head": case.name, "lesion": condition, **warp(case, healthy, found)})
            tissues.append({"head": case.name, "lesion": condition, **labels(case, healthy, found)})
            print(warps[-1], tissues[-1], flush=True)
    tables = {"warp": table(warps), "tissues": table(tissues), "pet": table(pet_rows())}
    for name, text in tables.items():
        print(f"\n## {name}\n\n{text}")
    record("lesion", tables, options.record)


def demo_case() -> Case:
    """The demo's first head at 1 mm, where what is healthy is known."""
    heads = [demo_subject(lesion) for lesion in (None, Lesion(radius=RADIUS_MM))]
    images = [
        acquire_mr(np.ascontiguousarray(head.crop_to_t1w(head.signals["t1w"])), rng).astype(
            np.float32
        )
        for head, rng in ((head, np.random.default_rng(1)) for head in heads)
    ]
    lesion = heads[1].crop_to_t1w(heads[1].lesion)
    return Case("demo", *images, lesion, heads[0].t1w_grid.affine)


def demo_subject(lesion: Lesion | None, size: float = 1.0):
    traits = Traits(TRAITS.scale, TRAITS.csf_weight, TRAITS.tilt_degrees, lesion=lesion)
    return make_subject(load_template(), traits, size, np.random.default_rng(0))


def planted(path: Path) -> Iterator[Case]:
    """Lesions in a real head."""
    t1w = remove_shear(read_volume(path, "T1w", missing=0.0), outside=0.0)
    data, affine = np.asarray(t1w.dataobj, np.float32), t1w.affine
    brain = np.asarray(cases.found_brain(t1w).dataobj) > 0
    voxels = np.argwhere(brain)
    low, high = voxels.min(axis=0), voxels.max(axis=0)
    rng, sizes = np.random.default_rng(0), nib.affines.voxel_sizes(affine)
    for name, place in PLACES.items():
        away = (np.moveaxis(np.indices(brain.shape), 0, -1) - low - place * (high - low)) * sizes
        lesion = brain & (np.linalg.norm(away, axis=-1) < RADIUS_MM)
        noise = ndimage.gaussian_filter(rng.standard_normal(data.shape, np.float32), 1)
        level = np.median(data[brain])
        fluid = np.percentile(data[brain], 4) + 0.05 * level * noise / noise.std()
        share = ndimage.gaussian_filter(lesion.astype(np.float32), 0.7)
        sick = (data + share * (fluid - data)).astype(np.float32)
        yield Case(f"{path.name.split('_')[0]}, {name}", data, sick, lesion, affine)


def process(
    case: Case, points: np.ndarray, template: nib.Nifti1Image, condition: str | None
) -> Processed:
    """Mask, bias, tissues and registration of a head; None for the healthy one."""
    began = time.process_time()
    data, sizes = case.healthy if condition is None else case.sick, nib.affines.voxel_sizes
    brain = np.asarray(cases.found_brain(new_image(data, case.affine)).dataobj) > 0
    lesion = None
    if condition == "with mask":
        placed = place_lesion(case.lesion, brain, case.affine)
        lesion, brain = placed.mask, placed.brain
    model = brain if lesion is None else brain & ~lesion
    corrected = correct_bias(data, model, sizes(case.affine), iterations=(50, 50, 30))
    tissues = segment_tissues(corrected, brain, tuple(sizes(case.affine)), lesion=lesion)
    transforms = register_template(
        template,
        new_image((corrected * brain).astype(np.float32), case.affine),
        lesion=None if lesion is None else new_image(lesion.astype(np.uint8), case.affine),
    )
    seconds = time.process_time() - began
    there = carry(transforms.template_from_t1w, points)
    return Processed(there, tissues.labels, brain, seconds)


def warp(case: Case, healthy: Processed, found: Processed) -> dict[str, str]:
    """Mean and largest differences in mm by distance from the lesion's edge."""
    sizes = nib.affines.voxel_sizes(case.affine)
    edge = ndimage.distance_transform_edt(~case.lesion, sampling=sizes)
    voxels = nib.affines.apply_affine(np.linalg.inv(case.affine), healthy.there)
    away = ndimage.map_coordinates(edge, voxels.T, order=0, mode="nearest")
    error = np.linalg.norm(found.there - healthy.there, axis=1)
    cells = {}
    for name, (low, high) in DISTANCES.items():
        part = error[(away > low) & (away <= high)]
        cells[name] = f"{part.mean():.2f} / {part.max():.1f}"
    return {**cells, "CPU s": f"{found.seconds:.0f}"}


def labels(case: Case, healthy: Processed, found: Processed) -> dict[str, str]:
    """Dice of the healthy head's tissues outside of the lesion, and what of the lesion is brain."""
    judged = ~case.lesion
    cells = {
        name: f"{dice((healthy.labels == n) & judged, (found.labels == n) & judged):.4f}"
        for n, name in enumerate(TISSUES, 1)
    }
    within = case.lesion & healthy.brain
    kept = np.count_nonzero(within & found.brain) / np.count_nonzero(within)
    return {**cells, "lesion in the brain mask": f"{kept:.0%}"}


def pet_rows() -> list[dict[str, str]]:
    """Errors of the PET's registration to the T1w, cold and hot in the lesion, at 2 mm."""
    rows = []
    for name, uptake in (("none", None), ("cold", 0.3), ("hot", 8.0)):
        head = demo_subject(None if uptake is None else Lesion(radius=RADIUS_MM), 2.0)
        crop = head.crop_to_t1w
        t1w = acquire_mr(np.ascontiguousarray(crop(head.signals["t1w"])), np.random.default_rng(1))
        activity = np.where(head.lesion, uptake or 0, head.signals["pet"]).astype(np.float32)
        blurred = pvc.blur(activity, (6.0,) * 3, (2.0,) * 3)
        move = phantom.random_rigid(np.random.default_rng(2))
        pet = sample(blurred, head.grid.affine, head.grid, move, 0.0)
        affine = head.t1w_grid.affine
        mask = new_image(crop(head.mask).astype(np.uint8), affine)
        found = register_rigid(
            new_image(t1w.astype(np.float32), affine), new_image(pet, head.grid.affine), mask
        )
        error = target_registration_error(found.t1w_from_moving, move, mask)
        rows.append({
            "lesion": name, "mean, mm": f"{error.mean():.3f}", "largest, mm": f"{error.max():.3f}",
        })  # fmt: skip
    return rows


def table(rows: list[Mapping[str, str]]) -> str:
    """A Markdown table; the first column has names."""
    titles = list(rows[0])
    lines = [f"| {' | '.join(titles)} |", f"|---|{'---|' * (len(titles) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row.values())} |" for row in rows)])


if __name__ == "__main__":
    main()
