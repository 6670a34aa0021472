"""Images of a simulated cohort fused by a model, under the names that the App gives them."""

import time
from pathlib import Path

import numpy as np

from fusionprep.bids import names
from fusionprep.bids.fused_names import FusedDesc, describe_fused
from fusionprep.bids.subject_tables import PARTICIPANTS
from fusionprep.cohort.dataset import TRACER, pet_names, space_entities, t1w_names, write_image
from fusionprep.image.io import load_image
from fusionprep.image.partial_volume.methods import GRAY
from fusionprep.modalities import PET, T1W
from fusionprep.models.inference import fuse_volume
from fusionprep.models.pair import scale_pair
from fusionprep.models.registry import get_model
from fusionprep.reading import read_table

SLICES_AT_ONCE = 16
"""They are small."""

SLOPE = 1e-4


def fuse_cohort(out: Path, model: str) -> tuple[str, float]:
    """Fuse T1w and PET of every subject that has no such image yet; the model, and seconds."""
    began = time.perf_counter()
    entry = get_model(model)
    desc = FusedDesc.for_model(entry, PET, T1W)
    network = None
    for row in read_table(out / PARTICIPANTS):
        label = row["participant_id"].removeprefix("sub-")
        target, images, affine = _paths_and_images(out, label, entry.takes_image, str(desc))
        if images is None:
            continue
        if network is None:
            network = entry.of(PET).load("cpu")
        anatomical, functional, mask = images
        scaled = scale_pair(
            anatomical, functional, mask, tracer=TRACER, anatomical_input=entry.anatomical_input
        )
        fused = fuse_volume(
            network,
            *scaled.images,
            mask,
            batch_size=SLICES_AT_ONCE,
            voxel_sizes=[float(affine[0, 0])] * 3,
        )
        fields = {"Description": describe_fused(entry, desc), "SkullStripped": True}
        write_image(out, target, fused, affine, fields, slope=SLOPE)
    return model, time.perf_counter() - began


def _paths_and_images(
    out: Path, label: str, takes_image: bool, desc: str
) -> tuple[str, tuple[np.ndarray, np.ndarray, np.ndarray] | None, np.ndarray]:
    """Where to write, and what to fuse; nothing where it is written already."""
    t1w, pet = t1w_names(label), pet_names(label)
    suvr = next((out / f"sub-{label}").glob(f"{PET.name}/*_desc-{names.SUVR}_*{names.IMAGE}"))
    functional = load_image(suvr)
    affine = np.asarray(functional.affine)
    space = space_entities(float(affine[0, 0]))
    target = pet.fused(desc=desc, **space)
    if names.sidecar_path(out / target).exists():
        return target, None, affine
    anatomical = (
        t1w(desc=names.PREPROC, **space) if takes_image else t1w(names.PROBSEG, label=GRAY, **space)
    )
    mask = t1w(names.MASK, desc=names.BRAIN, **space)
    arrays = [np.asarray(load_image(out / path).dataobj, np.float32) for path in (anatomical, mask)]
    return target, (arrays[0], np.asarray(functional.dataobj, np.float32), arrays[1]), affine
