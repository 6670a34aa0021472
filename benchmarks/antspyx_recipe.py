"""One subject with antspyx alone: the straightforward recipe fusionapp is measured against.

Writes the images fusionapp writes for ``--output-spaces T1w MNI152NLin2009aSym:res-1``, under the
same names, with the settings a user of antspyx would reach for: N4 inside the foreground, brain
extraction by registering a head template whose brain is known, Atropos, ``Rigid`` for the PET and
SyNQuick at 1 mm. The fusion is the average. Progress goes to standard output, with the CPU time so
far.
"""

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

SPACE = "MNI152NLin2009aSym"
TISSUES = ("CSF", "GM", "WM")
DSEG_LABELS = {"GM": 1, "WM": 2, "CSF": 3}
SYNQUICK = "antsRegistrationSyNQuick[s]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("t1w", type=Path)
    parser.add_argument("pet", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--head", type=Path, required=True, help="T1w template with skull")
    parser.add_argument("--brain", type=Path, required=True, help="its brain; zero outside")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    # ITK reads the thread count once, when antspyx is imported.
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(options.threads)
    import ants

    ants.config.set_ants_deterministic(options.threads == 1, 1)
    run_recipe(options.t1w, options.pet, options.output, options.head, options.brain)


def run_recipe(
    t1w_path: Path, pet_path: Path, output: Path, head_path: Path, brain_path: Path
) -> None:
    """Process one T1w and one static PET, writing derivatives of ``sub-01`` under `output`.

    `head_path` is a T1w template with skull; `brain_path`, on its grid, is zero outside its brain.
    """
    import ants

    anat, pet_dir = output / "sub-01" / "anat", output / "sub-01" / "pet"
    for folder in (anat, pet_dir):
        folder.mkdir(parents=True, exist_ok=True)
    template, template_mask = load_template()
    t1w, pet, head, head_brain = (
        ants.image_read(str(path), pixeltype="float")
        for path in (t1w_path, pet_path, head_path, brain_path)
    )
    report("read")
    t1w = ants.n4_bias_field_correction(t1w, mask=ants.get_mask(t1w))
    report("N4")
    mask = extract_brain(t1w, head, head_brain)
    report("brain extraction")
    tissues = segment_tissues(t1w, mask)
    report("Atropos")
    rigid = ants.registration(t1w, pet, type_of_transform="Rigid")
    report("PET to T1w")
    brain = t1w * mask
    norm = ants.registration(
        template, brain, type_of_transform=SYNQUICK, write_composite_transform=True
    )
    report("T1w to template")
    pet_in_t1w = rigid["warpedmovout"]
    to_template = {"fixed": template, "transformlist": [norm["fwdtransforms"]]}
    t1w_in_template = ants.apply_transforms(moving=brain, **to_template)
    pet_in_template = ants.apply_transforms(
        template, pet, [norm["fwdtransforms"], *rigid["fwdtransforms"]]
    )

    images = {
        anat / "sub-01_desc-preproc_T1w": t1w,
        anat / "sub-01_desc-brain_mask": mask,
        anat / "sub-01_dseg": tissues["dseg"],
        anat / f"sub-01_space-{SPACE}_res-1_desc-preproc_T1w": t1w_in_template,
        anat / f"sub-01_space-{SPACE}_res-1_desc-brain_mask": ants.apply_transforms(
            moving=mask, interpolator="nearestNeighbor", **to_template
        ),
        pet_dir / "sub-01_trc-18FFDG_space-T1w_desc-preproc_pet": pet_in_t1w,
        pet_dir / f"sub-01_trc-18FFDG_space-{SPACE}_res-1_desc-preproc_pet": pet_in_template,
        pet_dir / "sub-01_trc-18FFDG_space-T1w_desc-fusedAverage_pet": average(
            t1w, pet_in_t1w, mask
        ),
        pet_dir / f"sub-01_trc-18FFDG_space-{SPACE}_res-1_desc-fusedAverage_pet": average(
            t1w_in_template, pet_in_template, template_mask
        ),
    }
    images |= {anat / f"sub-01_label-{name}_probseg": tissues[name] for name in TISSUES}
    for path, image in images.items():
        ants.image_write(image, f"{path}.nii.gz")
    write_transforms(norm, rigid, anat, pet_dir)
    report("resampling and writing")


def report(step: str) -> None:
    """Say that a step is done."""
    print(f"{step}: done at {time.process_time():.0f} s of CPU time", flush=True)


def load_template() -> tuple[Any, Any]:
    """The 1 mm ICBM152 2009a symmetric T1w brain and its mask packaged with nilearn."""
    import ants
    from nilearn.datasets import load_mni152_brain_mask, load_mni152_template

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/template.nii.gz"
        images = []
        for load in (load_mni152_template, load_mni152_brain_mask):
            load(resolution=1).to_filename(path)
            images.append(ants.image_read(path, pixeltype="float"))
    template, mask = images
    return template, mask


def extract_brain(t1w: Any, head: Any, head_brain: Any) -> Any:
    """Brain mask of a bias-corrected head: that of a head template, brought over by SyNQuick."""
    import ants

    normalised = ants.registration(head, t1w, type_of_transform=SYNQUICK)
    return ants.apply_transforms(
        t1w, head_brain > 0, normalised["invtransforms"], interpolator="nearestNeighbor"
    )


def segment_tissues(t1w: Any, mask: Any) -> dict[str, Any]:
    """Three-class Atropos: probability maps by name, and ``dseg`` with BIDS' labels."""
    import ants

    result = ants.atropos(a=t1w, x=mask, i="kmeans[3]", m="[0.1,1x1x1]", c="[5,0]")
    # k-means starts from the darkest class, and on a T1w CSF < GM < WM.
    tissues = dict(zip(TISSUES, result["probabilityimages"], strict=True))
    dseg = result["segmentation"] * 0
    for index, name in enumerate(TISSUES, start=1):
        dseg += (result["segmentation"] == index) * DSEG_LABELS[name]
    return tissues | {"dseg": dseg}


def average(anatomical: Any, functional: Any, mask: Any) -> Any:
    """Mean of both images, each divided by its 99.5th percentile inside `mask` and clipped."""
    import numpy as np

    inside = mask.numpy() > 0
    fused = np.zeros(inside.shape, dtype="float32")
    for image in (anatomical, functional):
        array = image.numpy()
        fused += 0.5 * np.clip(array / np.percentile(array[inside], 99.5), 0, 1)
    return mask.new_image_like(fused * inside)


def write_transforms(norm: dict, rigid: dict, anat: Path, pet_dir: Path) -> None:
    """Write the T1w↔template composites and PET→T1w as an ITK affine text file."""
    import SimpleITK as sitk

    shutil.copy(norm["fwdtransforms"], anat / f"sub-01_from-T1w_to-{SPACE}_mode-image_xfm.h5")
    shutil.copy(norm["invtransforms"], anat / f"sub-01_from-{SPACE}_to-T1w_mode-image_xfm.h5")
    affine = sitk.AffineTransform(sitk.ReadTransform(rigid["fwdtransforms"][0]))
    name = "sub-01_trc-18FFDG_from-pet_to-T1w_mode-image_xfm.txt"
    sitk.WriteTransform(affine, str(pet_dir / name))


if __name__ == "__main__":
    main()
