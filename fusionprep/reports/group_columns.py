"""Columns of ``group_fusion.tsv`` and what they mean."""

from typing import Any

_VERDICTS = {
    "pass": "nothing speaks against the registration",
    "review": "look at the picture before the image is used",
    "fail": "the registration is wrong or cannot be trusted",
}

COLUMNS: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Participant, with prefix"},
    "session_id": {"Description": "Session of the PET or CT, with prefix"},
    "modality": {
        "Description": "Functional source of the fusion",
        "Levels": {
            "PET": "positron emission tomography",
            "CT": "computed tomography",
        },
    },
    "tracer": {"Description": "Tracer: entity trc, else TracerName of the sidecar"},
    "reconstruction": {"Description": "Entity rec of the PET"},
    "run": {"Description": "Entity run of the PET"},
    "space": {"Description": "Space of the fused image, with resolution where it is a template"},
    "model": {"Description": "Fusion model"},
    "model_version": {"Description": "Version of the fusion model, and the file of own weights"},
    "verdict": {
        "Description": "Worst of the verdicts on the registrations this fused image rests on",
        "Levels": _VERDICTS,
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
        "Description": "Distance between registrations of two halves of the PET or CT, larger in "
        "proportion where a part of the brain only is in its field of view",
        "Units": "mm",
    },
    "off_optimum": {
        "Description": "Distance of the alignment used from the best one found",
        "Units": "mm",
    },
    "runner_up": {
        "Description": "Information of the best quite different alignment, share of the best one's"
    },
    "rotation": {"Description": "Rotation from the header's position", "Units": "degree"},
    "translation": {"Description": "Translation from the header's position", "Units": "mm"},
    "registration_verdict": {
        "Description": "Verdict on the registration of the PET or CT to the T1w",
        "Levels": _VERDICTS,
    },
    "template_mask_dice": {
        "Description": "Dice of the T1w's brain mask and the template's; template spaces only"
    },
    "template_gm_dice": {
        "Description": "Dice of the T1w's grey matter and the template's; template spaces only"
    },
    "template_verdict": {
        "Description": "Verdict on the registration of the T1w to the template",
        "Levels": _VERDICTS,
    },
    "brain_volume": {"Description": "Volume of the brain mask", "Units": "mL"},
    "gm_volume": {"Description": "Volume of grey matter", "Units": "mL"},
    "wm_volume": {"Description": "Volume of white matter", "Units": "mL"},
    "csf_volume": {"Description": "Volume of CSF inside the brain mask", "Units": "mL"},
    "suvr_gm": {"Description": "Mean SUVR in grey matter, in T1w space"},
    "suvr_wm": {"Description": "Mean SUVR in white matter, in T1w space"},
    "gm_wm_ratio": {"Description": "Mean PET in grey matter divided by that in white matter"},
    "fused_file": {"Description": "Fused image, relative to the root of the outputs"},
}
