"""Columns of ``group_fusion.tsv``, what they mean, and which of them show quality."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from fusionprep.modalities import APP_FUSED, CONTRASTS, CT, PET, T1W

METRIC_PREFIX = "metric_"
RATINGS = ("pass", "review", "fail")

_VERDICTS = {
    "pass": "nothing suggests that the registration is wrong",
    "review": "look at the picture before the image is used",
    "fail": "the registration is wrong or cannot be trusted",
}
_DIRECTIONS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "neither": "not for ranking",
}


@dataclass(frozen=True)
class Measure:
    """A column whose distribution is shown and whose outliers are looked for.

    Attributes
    ----------
    column
        In the table.
    title
        On the page.
    section
        Heading above its distribution.
    unit
        Empty for a ratio.
    of
        What one value belongs to: a ``scan``, a T1w (``anatomy``), or a T1w in a ``template``.
    least_spread
        Differences below it mean nothing: a spread that is smaller is taken as this large.
    """

    column: str
    title: str
    section: str
    unit: str = ""
    of: Literal["scan", "anatomy", "template"] = "scan"
    least_spread: float = 0.0


_SCAN, _TEMPLATE = "Registration to the T1w", "Registration to the template"
_T1W, _PET, _CT = T1W.label, PET.label, CT.label

MEASURES = (
    Measure("mi_after", "Mutual information", _SCAN, "nat"),
    Measure("brain_overlap", "Brain overlap", _SCAN, least_spread=0.01),
    Measure("brain_coverage", "Brain in the field of view", _SCAN, least_spread=0.02),
    Measure("uncertainty", "Uncertainty", _SCAN, "mm", least_spread=0.2),
    Measure("off_optimum", "Distance from the optimum", _SCAN, "mm", least_spread=0.5),
    Measure("runner_up", "Runner-up's information", _SCAN, least_spread=0.02),
    Measure("rotation", "Rotation", _SCAN, "degree", least_spread=1.0),
    Measure("translation", "Translation", _SCAN, "mm", least_spread=1.0),
    Measure(
        "template_mask_dice", "Dice of the brain in the template", _TEMPLATE, "", "template", 0.005
    ),
    Measure(
        "template_gm_dice", "Dice of gray matter in the template", _TEMPLATE, "", "template", 0.01
    ),
    Measure(
        "template_displacement", "Displacement in the template", _TEMPLATE, "mm", "template", 0.3
    ),
    Measure("t1w_cnr", "Contrast to noise of the T1w", _T1W, of="anatomy"),
    Measure("t1w_cjv", "Joint variation of the T1w", _T1W, of="anatomy"),
    Measure("t1w_snr_wm", "Signal to noise of the T1w", _T1W, of="anatomy"),
    Measure("t1w_noise", "Noise of the T1w", _T1W, of="anatomy", least_spread=0.01),
    Measure("brain_volume", "Brain volume", _T1W, "mL", of="anatomy"),
    Measure("gm_volume", "Gray matter volume", _T1W, "mL", of="anatomy"),
    Measure("wm_volume", "White matter volume", _T1W, "mL", of="anatomy"),
    Measure("csf_volume", "CSF volume", _T1W, "mL", of="anatomy"),
    Measure("gm_wm_ratio", "Gray to white matter of the PET", _PET),
    Measure("gm_wm_contrast", "Contrast of the PET in gray and white matter", _PET),
    Measure("suvr_gm", "SUVR of gray matter", _PET),
    Measure("suvr_wm", "SUVR of white matter", _PET),
    Measure("pet_noise", "Noise of the PET", _PET),
    Measure("ct_brain_median", "Median of the CT in the brain", _CT, "HU", least_spread=1.0),
    Measure("ct_bone_volume", "Bone volume", _CT, "mL"),
)

_COLUMNS: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Participant, with prefix"},
    "session_id": {"Description": "Session of the PET or CT, with prefix"},
    "modality": {
        "Description": "Functional source of the fusion",
        "Levels": {m.label: m.full_name for m in APP_FUSED},
    },
    "tracer": {"Description": "Tracer: entity trc, else TracerName of the sidecar"},
    "reconstruction": {"Description": "Entity rec of the PET"},
    "run": {"Description": "Entity run of the PET or CT"},
    "task": {"Description": "Entity task of the PET"},
    "acquisition": {"Description": "Entity acq of the CT"},
    "space": {"Description": "Space of the fused image, with resolution where it is a template"},
    "model": {"Description": "Fusion model"},
    "model_version": {
        "Description": "Version of the fusion model, and the file of the user's own weights"
    },
    "contrast": {
        "Description": "Anatomical image that was fused; for a model of the gray matter, the one it"
        " was found in",
        "Levels": {contrast.label: contrast.full_name for contrast in CONTRASTS},
    },
    "verdict": {
        "Description": "Worst of the verdicts on the registrations this fused image rests on",
        "Levels": _VERDICTS,
    },
    "rating": {
        "Description": "Rating of the PET or CT by a person, from the file given by --ratings",
        "Levels": {
            "pass": "to be used",
            "review": "to be looked at again",
            "fail": "not to be used",
        },
    },
    "rating_note": {"Description": "Note on the rating"},
    "excluded": {
        "Description": "Whether the PET or CT is left out of distributions, cohort images and the "
        "comparison of models: its rating is fail",
        "Levels": {"true": "left out", "false": "part of them"},
    },
    "outlier": {
        "Description": "Columns in which this image lies more than 3 robust standard deviations "
        "(1.4826 times the median absolute deviation) from the median of its modality and tracer, "
        "separated by a space; empty for excluded images"
    },
    "t1w": {"Description": "T1w the PET or CT was brought to, as BIDS URI"},
    "pairing_reason": {"Description": "Why this T1w was chosen"},
    "day_gap": {"Description": "Days between the PET or CT and the T1w", "Units": "day"},
    "registration_method": {"Description": "Registration of the PET or CT to the T1w"},
    "mi_before": {
        "Description": "Mattes mutual information with the T1w before registration",
        "Units": "nat",
    },
    "mi_after": {
        "Description": "Mattes mutual information with the T1w after registration",
        "Units": "nat",
    },
    "brain_overlap": {
        "Description": "Share of the brain seen among as many brightest voxels of the PET, 0 to 1"
    },
    "brain_coverage": {
        "Description": "Share of the brain mask in the field of view of the PET or CT, 0 to 1"
    },
    "uncertainty": {
        "Description": "Standard error of the registration where it is largest in the brain, from "
        "halves of the PET or CT, larger in proportion where a part of the brain only is in view",
        "Units": "mm",
    },
    "off_optimum": {
        "Description": "Distance of the alignment used from the best one found",
        "Units": "mm",
    },
    "runner_up": {
        "Description": "Information of the best clearly different alignment, as a share of the best"
        " one's"
    },
    "rotation": {"Description": "Rotation from the header's position", "Units": "degree"},
    "translation": {"Description": "Translation from the header's position", "Units": "mm"},
    "registration_verdict": {
        "Description": "Verdict on the registration of the PET or CT to the T1w",
        "Levels": _VERDICTS,
    },
    "registration_from": {
        "Description": "Earlier work that the transform to the T1w was taken over from; n/a where"
        " it was found here"
    },
    "template_mask_dice": {
        "Description": "Dice of the T1w's brain mask and the template's; template spaces only"
    },
    "template_gm_dice": {
        "Description": "Dice of the T1w's gray matter and the template's; template spaces only"
    },
    "template_displacement": {
        "Description": "Largest displacement at which one of 27 blocks of the T1w's brain would fit"
        " the template best; template spaces only",
        "Units": "mm",
    },
    "template_verdict": {
        "Description": "Verdict on the registration of the T1w to the template",
        "Levels": _VERDICTS,
    },
    "template_from": {
        "Description": "Earlier work that the transform to the template was taken over from; n/a"
        " where it was found here"
    },
    "mask_from": {
        "Description": "Earlier work that the brain mask was taken over from; n/a where it was made"
        " here"
    },
    "tissues_from": {
        "Description": "Earlier work that the tissues were taken over from; n/a where they were"
        " found here"
    },
    "t1w_verdict": {
        "Description": "Verdict on the volumes and intensities of the T1w's tissues",
        "Levels": _VERDICTS,
    },
    "t1w_cnr": {
        "Description": "Contrast of gray and white matter of the T1w to its noise, as MRIQC "
        "defines it (Magnotta & Friedman, J Digit Imaging 2006;19:140-147); higher is better"
    },
    "t1w_cjv": {
        "Description": "Coefficient of joint variation of gray and white matter of the T1w, as "
        "MRIQC defines it (Ganzetti et al., Front Neuroinform 2016;10:10); lower is better"
    },
    "t1w_snr_wm": {
        "Description": "Signal to noise in white matter of the T1w, as MRIQC defines it (Dietrich "
        "et al., JMRI 2007;26:375-385); higher is better"
    },
    "t1w_noise": {
        "Description": "Noise of the T1w before denoising, as a share of the contrast of gray and "
        "white matter: NoiseEstimate.OfContrast of its sidecar; lower is better"
    },
    "t1w_denoised": {
        "Description": "Whether noise was taken out of the T1w",
        "Levels": {"true": "its tissues are those of the denoised image", "false": "as it was"},
    },
    "brain_volume": {"Description": "Volume of the brain mask", "Units": "mL"},
    "gm_volume": {"Description": "Volume of gray matter", "Units": "mL"},
    "wm_volume": {"Description": "Volume of white matter", "Units": "mL"},
    "csf_volume": {"Description": "Volume of CSF inside the brain mask", "Units": "mL"},
    "lesion_volume": {
        "Description": "Volume of the lesion that a mask in the dataset marks; n/a without a mask",
        "Units": "mL",
    },
    "frames_used": {"Description": "How many frames the static PET is the mean of"},
    "frames_start": {
        "Description": "Begin of the first frame used, after the injection",
        "Units": "min",
    },
    "frames_end": {
        "Description": "End of the last frame used, after the injection",
        "Units": "min",
    },
    "frames_reason": {"Description": "Why these frames"},
    "smoothing_kernel": {
        "Description": "FWHM of the Gaussian that the PET was smoothed with, from left to right,"
        " back to front, feet to head of its own grid",
        "Units": "mm",
    },
    "resolution": {
        "Description": "FWHM of the PET along the same axes after smoothing and interpolation,"
        " where its point spread is known",
        "Units": "mm",
    },
    "motion": {
        "Description": "Largest distance between the places of a voxel of the brain in two frames"
        " of a dynamic PET",
        "Units": "mm",
    },
    "motion_corrected": {
        "Description": "Whether frames were aligned",
        "Levels": {"true": "aligned", "false": "averaged as they were"},
    },
    "suvr_region": {"Description": "Reference region of SUVR"},
    "suvr_region_reason": {"Description": "Why this region"},
    "suvr_region_doubt": {
        "Description": "Verdicts on registrations, review or fail, by which the reference region"
        " may lie where it should not; n/a where there are none"
    },
    "suvr_gm": {"Description": "Mean SUVR in gray matter, in T1w space"},
    "suvr_wm": {"Description": "Mean SUVR in white matter, in T1w space"},
    "gm_wm_ratio": {"Description": "Mean PET in gray matter divided by that in white matter"},
    "gm_wm_contrast": {
        "Description": "(GM - WM) / (GM + WM) of the mean PET in gray and white matter"
    },
    "pet_noise": {"Description": "Noise of the PET: Quality.Noise of its sidecar"},
    "ct_brain_median": {"Description": "Median of the CT in the brain mask", "Units": "HU"},
    "ct_bone_volume": {"Description": "Volume of bone in the CT, above 300 HU", "Units": "mL"},
    "run_time": {"Description": "Time the fusion took", "Units": "s"},
    "software": {"Description": "Software that fused, with version"},
    "fused_file": {"Description": "Fused image, relative to the root of the outputs"},
}


def columns(metrics: Collection[str]) -> dict[str, dict[str, Any]]:
    """Description of every column, in their order.

    Parameters
    ----------
    metrics
        Names of the fusion metrics that have a column, ``metric_<name>``; those that are not of
        :data:`fusionprep.evaluation.metrics.METRICS` get none.
    """
    from fusionprep.evaluation.metrics import METRICS

    described = dict(_COLUMNS)
    last = described.popitem()
    for metric in METRICS:
        if metric.name in metrics:
            described[METRIC_PREFIX + metric.name] = {
                "Description": f"{metric.title}, fusion metric of some slices of the brain; "
                f"{_DIRECTIONS[metric.better]}; {metric.convention} ({metric.source})"
            }
    described[last[0]] = last[1]
    return described
