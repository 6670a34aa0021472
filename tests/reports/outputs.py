"""Small output roots as the participant level leaves them, made from nilearn's MNI templates."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

TEMPLATE = "MNI152NLin2009aSym"
RUN_UUID = "20260101-120000_00000000-0000-4000-8000-000000000000"


@cache
def brain(resolution: int = 4) -> dict[str, nib.Nifti1Image]:
    """T1w, tissues, mask, PET (4 GM + WM), fused ((T1w + PET) / 2) and its colour on one grid."""
    from nilearn import datasets
    from scipy.ndimage import gaussian_filter

    template = datasets.load_mni152_template(resolution=resolution)
    grey = datasets.load_mni152_gm_template(resolution=resolution).get_fdata()
    white = datasets.load_mni152_wm_template(resolution=resolution).get_fdata()
    mask = datasets.load_mni152_brain_mask(resolution=resolution).get_fdata() > 0
    tissues = np.select([grey > 0.5, white > 0.5, mask], [1, 2, 3]) * mask
    t1w = template.get_fdata() / template.get_fdata().max()
    pet = gaussian_filter(4 * grey + white, 2.5 / resolution)
    fused = mask * (t1w + pet / 4) / 2
    colour = np.zeros(fused.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"], colour["B"] = 255 * fused, 120 * fused

    def image(data: np.ndarray, kind: Any) -> nib.Nifti1Image:
        made = nib.Nifti1Image(data.astype(kind), template.affine)
        made.header.set_xyzt_units("mm")
        return made

    return {
        "t1w": image(1000 * t1w, np.float32),
        "dseg": image(tissues, np.uint8),
        "mask": image(mask, np.uint8),
        "pet": image(pet, np.float32),
        "fused": image(fused, np.float32),
        "colour": nib.Nifti1Image(colour, template.affine),
    }


def write_image(path: Path, image: nib.Nifti1Image, **sidecar: Any) -> None:
    """Save an image and its sidecar."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(f"{path}.nii.gz")
    Path(f"{path}.json").write_text(json.dumps(sidecar))


def write_anatomy(out: Path, entities: str, *, verdict: str = "pass", resolution: int = 4) -> None:
    """Anatomical outputs of ``sub-X[_ses-Y]``."""
    data = brain(resolution)
    folder = out.joinpath(*entities.split("_")) / "anat"
    prefix = str(folder / entities)
    common = {"SkullStripped": False, "Sources": [f"bids:raw:{entities}_T1w.nii.gz"]}
    noise = {"StandardDeviation": 31.5, "OfWhiteMatter": 0.0525, "OfContrast": 0.21}
    write_image(
        Path(f"{prefix}_desc-preproc_T1w"),
        data["t1w"],
        BiasCorrection="N4 (SimpleITK)",
        Denoised=True,
        DenoisingReason="the noise is high",
        NoiseEstimate=noise,
        **common,
    )
    write_image(
        Path(f"{prefix}_desc-brain_mask"),
        data["mask"],
        BrainVolumeMillilitres=1432.25,
        Method="deepbet",
    )
    write_image(
        Path(f"{prefix}_dseg"),
        data["dseg"],
        TissueVolumesMillilitres={"GM": 701.5, "WM": 502.5, "CSF": 228.25},
    )
    write_image(Path(f"{prefix}_space-{TEMPLATE}_res-1_desc-brain_mask"), data["mask"])
    write_image(
        Path(f"{prefix}_space-{TEMPLATE}_res-1_desc-preproc_T1w"),
        data["t1w"],
        Registration={
            "Method": "greedy",
            "Software": "greedy 1.4",
            "MaskDice": 0.97,
            "GMDice": 0.81,
            "DisplacementMillimetres": 1.2,
            "Verdict": verdict,
            "VerdictReason": "Dice of grey matter 0.81",
        },
    )


def write_pet(
    out: Path,
    entities: str,
    *,
    verdict: str = "pass",
    models: tuple[str, ...] = ("DenseFuse",),
    t1w: str | None = None,
    resolution: int = 4,
    **sidecar: Any,
) -> None:
    """PET and fused outputs of ``sub-X[_ses-Y][_trc-][_rec-][_run-]``."""
    data = brain(resolution)
    parts = entities.split("_")
    folder = out.joinpath(*[part for part in parts if part.startswith(("sub-", "ses-"))]) / "pet"
    prefix = str(folder / entities)
    anatomy = t1w or "_".join(part for part in parts if part.startswith(("sub-", "ses-")))
    registration = {
        "Method": "rigid",
        "Software": "SimpleITK 2.4",
        "MattesMIBefore": 0.41,
        "MattesMIAfter": 0.82,
        "BrainOverlap": 0.94,
        "BrainCoverage": 1.0,
        "UncertaintyMillimetres": 0.6,
        "OffOptimumMillimetres": 0.0,
        "RunnerUp": 0.5,
        "RotationDegrees": 6.5,
        "TranslationMillimetres": 11.2,
        "Verdict": verdict,
        "VerdictReason": "" if verdict == "pass" else "brain overlap below 0.8",
    }
    metadata = {
        "Units": "Bq/mL",
        "TracerName": "FDG",
        "TracerRadionuclide": "F18",
        "FrameAveraging": {"Frames": 6, "Weights": "frame duration", "DurationSeconds": 1800.0},
        "FrameSelection": {
            "Frames": [5, 6, 7, 8, 9, 10],
            "FramesOfScan": 12,
            "MinutesAfterInjection": [29.5, 59.5],
            "Reason": "the middle of each is in the window",
        },
        "Pairing": {
            "T1w": f"bids:raw:{anatomy.replace('_', '/')}/anat/{anatomy}_T1w.nii.gz",
            "Reason": "same session",
            "DayGap": 0,
        },
        "Registration": registration,
        **sidecar,
    }
    write_image(Path(f"{prefix}_space-T1w_desc-preproc_pet"), data["pet"], **metadata)
    write_image(
        Path(f"{prefix}_space-T1w_desc-suvr_pet"),
        data["pet"],
        SUVR={
            "Region": "pons",
            "RegionReason": "chosen with --suvr-region",
            "RegionDoubt": "the registration of the T1w to the template has the verdict review",
            "Reference": 8123.46,
            "Voxels": 900,
            "RegionVoxels": 1000,
        },
    )
    for model in models:
        for space in ("T1w", f"{TEMPLATE}_res-1"):
            fusion = {"Name": model.lower(), "Label": model, "Version": "1.0", "Device": "cpu"}
            stem = f"{prefix}_space-{space}_desc-fused{model}"
            write_image(Path(f"{stem}_pet"), data["fused"], FusionModel=fusion)
            write_image(Path(f"{stem}Color_pet"), data["colour"], FusionModel=fusion)


def write_figures(out: Path, subject: str, anatomy: str, pets: tuple[str, ...]) -> None:
    """The figures of a subject, drawn from the fake images."""
    from fusionprep.reports.figures import plots

    data = brain(4)
    figures = out / f"sub-{subject}" / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    moved = nib.Nifti1Image(data["pet"].dataobj, _shifted(data["pet"].affine))
    mask = data["mask"]
    plots.plot_tissue(data["t1w"], data["dseg"], mask, figures / f"{anatomy}_desc-tissue_T1w.svg")
    t1w = data["t1w"]
    plots.plot_denoised(t1w, t1w, mask, figures / f"{anatomy}_desc-denoised_T1w.svg")
    plots.plot_normalization(
        data["t1w"],
        data["t1w"],
        mask,
        figures / f"{anatomy}_space-{TEMPLATE}_desc-norm_T1w.svg",
        template_name=TEMPLATE,
    )
    for pet in pets:
        plots.plot_coregistration(
            data["t1w"],
            moved,
            data["pet"],
            mask,
            figures / f"{pet}_desc-coreg_pet.svg",
            dseg=data["dseg"],
        )
        region = nib.Nifti1Image((data["dseg"].get_fdata() == 2).astype(np.uint8), mask.affine)
        plots.plot_region(
            data["t1w"], data["pet"], region, mask, figures / f"{pet}_desc-suvr_pet.svg"
        )
        for space in ("T1w", TEMPLATE):
            plots.plot_fused_mosaic(
                data["t1w"],
                data["pet"],
                data["fused"],
                data["colour"],
                mask,
                figures / f"{pet}_space-{space}_desc-fusedDenseFuse_pet.jpg",
            )


def _shifted(affine: np.ndarray) -> np.ndarray:
    moved = affine.copy()
    moved[:3, 3] += (12.0, -9.0, 14.0)
    return moved


def write_logs(out: Path) -> None:
    """Methods text and options of a run."""
    logs = out / "logs" / RUN_UUID
    logs.mkdir(parents=True)
    (logs / "fusionprep.toml").write_text('bids_dir = "/data/study/raw"\nnprocs = 2\n')
    (out / "logs" / "CITATION.md").write_text(
        "# Methods\n\nPET and T1w images were fused with fusionprep <0.1>.\n\n"
        "## Software\n\n- nibabel\n- SimpleITK\n"
    )
    (out / "logs" / "CITATION.bib").write_text("@article{densefuse, title={DenseFuse}}\n")
