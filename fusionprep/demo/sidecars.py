"""Metadata of the demo dataset: the sidecars and tables a raw BIDS dataset with PET has."""

from typing import Any

from fusionprep._version import __version__
from fusionprep.demo.scanner import (
    DETECTOR_FWHM_MM,
    FILTER_FWHM_MM,
    FLUORINE_18_HALF_LIFE_S,
    Frames,
)

README = """# fusionprep demo dataset

Simulated people with T1w, FLAIR, FDG PET and CT, made by `fusionapp demo` from the
ICBM152 2009a symmetric template that nilearn carries. Nothing here was measured on a person.

Each brain is the template deformed by a smooth random displacement; skull, scalp, face and neck
are simple shapes around it. PET, CT and FLAIR are displaced from the T1w by known rigid
transforms. The first participant has a static PET scan, the second a dynamic one.

`sourcedata/truth` holds what was simulated: the rigid transforms (`*_truth.json`), the GM, WM and
CSF fractions and the brain mask in T1w space, and the displacement from T1w space to the template.
CT is not part of BIDS, so `ct` is listed in `.bidsignore`.
"""

TEMPLATE_LICENSE = (
    "Derived from the ICBM 152 template: Copyright (C) 1993-2009 Louis Collins, McConnell Brain "
    "Imaging Centre, Montreal Neurological Institute, McGill University. Permission to use, copy, "
    "modify, and distribute for any purpose and without fee is granted, provided that this notice "
    "appears in all copies."
)
INJECTED_MEGABECQUEREL = 185.0
INJECTED_MICROGRAM = 5.0
FDG_GRAM_PER_MOLE = 181.15
TIME_ZERO = "10:00:00"


def dataset_description(seed: int) -> dict[str, Any]:
    """Content of ``dataset_description.json``."""
    return {
        "Name": "fusionprep demo dataset (simulated)",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": TEMPLATE_LICENSE,
        "Authors": ["The fusionprep developers", "The authors of the ICBM 152 2009a template"],
        "Acknowledgements": "Anatomy from the ICBM 152 nonlinear 2009a symmetric template.",
        "HowToAcknowledge": "Cite Fonov et al., NeuroImage 2011;54(1):313-327.",
        "ReferencesAndLinks": ["https://doi.org/10.1016/j.neuroimage.2010.07.033"],
        "SourceDatasets": [{"DOI": "doi:10.1016/j.neuroimage.2010.07.033"}],
        "GeneratedBy": [
            {
                "Name": "fusionprep",
                "Version": __version__,
                "Description": f"fusionapp demo, seed {seed}",
            }
        ],
    }


PARTICIPANTS_JSON = {
    "age": {"Description": "Age of the simulated participant", "Units": "year"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "weight": {"Description": "Body weight on the day of the PET scan", "Units": "kg"},
    "height": {"Description": "Body height", "Units": "m"},
}

_SIMULATED_SCANNER = {
    "Manufacturer": "fusionprep",
    "InstitutionName": "None (simulated)",
    "InstitutionalDepartmentName": "None (simulated)",
    "InstitutionAddress": "None (simulated)",
    "DeviceSerialNumber": "0",
    "StationName": "phantom",
    "SoftwareVersions": "1",
}

_COIL_FIELDS = (
    "ReceiveCoilName",
    "ReceiveCoilActiveElements",
    "MatrixCoilMode",
    "CoilCombinationMethod",
)


def mr(contrast: str) -> dict[str, Any]:
    """Sidecar of a T1w (``contrast="T1w"``) or FLAIR image."""
    timing = {
        "T1w": {"RepetitionTime": 2.3, "EchoTime": 0.00298, "InversionTime": 0.9, "FlipAngle": 9},
        "FLAIR": {"RepetitionTime": 9.0, "EchoTime": 0.12, "InversionTime": 2.5, "FlipAngle": 150},
    }
    sequence = {"T1w": ("GR_IR", "MPRAGE"), "FLAIR": ("SE_IR", "FLAIR")}
    return {
        "Modality": "MR",
        **_SIMULATED_SCANNER,
        "ManufacturersModelName": "Simulated MR",
        "MagneticFieldStrength": 3,
        "ScanningSequence": sequence[contrast][0].replace("_", "\\"),
        "SequenceVariant": "SK",
        "ScanOptions": "NONE",
        "SequenceName": sequence[contrast][1],
        "PulseSequenceType": sequence[contrast][1],
        "MRAcquisitionType": "3D",
        "NonlinearGradientCorrection": False,
        "PulseSequenceDetails": "simulated",
        "DwellTime": 1e-05,
        **dict.fromkeys(_COIL_FIELDS, "none (simulated)"),
        **timing[contrast],
    }


def ct() -> dict[str, Any]:
    """Sidecar of a CT."""
    return {
        "Modality": "CT",
        **_SIMULATED_SCANNER,
        "ManufacturersModelName": "Simulated CT",
        "Units": "HU",
        "XRayTubeVoltage": 120,
        "ConvolutionKernel": "soft tissue",
    }


def pet(
    frames: Frames, weight_kg: float, detector_fwhm_mm: float = DETECTOR_FWHM_MM
) -> dict[str, Any]:
    """PET sidecar with every field PET-BIDS requires; times relative to the injection."""
    dynamic = len(frames.starts) > 1
    return {
        "Modality": "PT",
        **_SIMULATED_SCANNER,
        "ManufacturersModelName": "Simulated PET",
        "BodyPart": "brain",
        "Units": "Bq/mL",
        **_tracer(weight_kg),
        "TimeZero": TIME_ZERO,
        "ScanStart": frames.starts[0],
        "InjectionStart": 0,
        "InjectionEnd": 5,
        "FrameTimesStart": list(frames.starts),
        "FrameDuration": list(frames.durations),
        "AcquisitionMode": "list mode",
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "DecayCorrectionFactor": _decay_factors(frames),
        **_reconstruction(detector_fwhm_mm),
        "AttenuationCorrection": "CT-based",
        "AttenuationCorrectionMethodReference": "None (simulated without attenuation)",
        "ScatterFraction": [0.0] * len(frames.starts),
        "PromptRate": [0.0] * len(frames.starts),
        "SinglesRate": [0.0] * len(frames.starts),
        "RandomRate": [0.0] * len(frames.starts),
        "DoseCalibrationFactor": 1.0,
        "ScaleFactor": [1.0] * len(frames.starts),
        "SeriesDescription": "Dynamic FDG" if dynamic else "Static FDG",
    }


def _tracer(weight_kg: float) -> dict[str, Any]:
    return {
        "TracerName": "18FFDG",
        "TracerRadionuclide": "F18",
        "TracerSNOMED": "http://snomed.info/id/35321007",
        "TracerMolecularWeight": FDG_GRAM_PER_MOLE,
        "TracerMolecularWeightUnits": "g/mol",
        "InjectedRadioactivity": INJECTED_MEGABECQUEREL,
        "InjectedRadioactivityUnits": "MBq",
        "InjectedMass": INJECTED_MICROGRAM,
        "InjectedMassUnits": "ug",
        "InjectedMassPerWeight": round(INJECTED_MICROGRAM / weight_kg, 6),
        "InjectedMassPerWeightUnits": "ug/kg",
        "InjectedVolume": 5.0,
        "SpecificRadioactivity": INJECTED_MEGABECQUEREL / INJECTED_MICROGRAM,
        "SpecificRadioactivityUnits": "MBq/ug",
        "SpecificRadioactivityMeasTime": TIME_ZERO,
        "MolarActivity": round(
            INJECTED_MEGABECQUEREL / INJECTED_MICROGRAM * FDG_GRAM_PER_MOLE / 1e3, 6
        ),
        "MolarActivityUnits": "GBq/umol",
        "MolarActivityMeasTime": TIME_ZERO,
        "Purity": 100,
        "ModeOfAdministration": "bolus",
        "InfusionRadioactivity": 0,
        "InfusionStart": 0,
        "InfusionSpeed": 0,
        "InfusionSpeedUnits": "mL/s",
        "PharmaceuticalName": "none",
        "PharmaceuticalDoseAmount": 0,
        "PharmaceuticalDoseUnits": "mg",
        "PharmaceuticalDoseRegimen": "none",
        "PharmaceuticalDoseTime": 0,
    }


def _reconstruction(detector_fwhm_mm: float) -> dict[str, Any]:
    return {
        "ReconMethodName": "simulated",
        "ReconMethodImplementationVersion": __version__,
        "ReconMethodParameterLabels": ["detector FWHM"],
        "ReconMethodParameterUnits": ["mm"],
        "ReconMethodParameterValues": [detector_fwhm_mm],
        "ReconFilterType": "Gaussian",
        "ReconFilterSize": FILTER_FWHM_MM,
    }


def _decay_factors(frames: Frames) -> list[float]:
    return [
        round(2.0 ** ((start + duration / 2) / FLUORINE_18_HALF_LIFE_S), 6)
        for start, duration in zip(frames.starts, frames.durations, strict=True)
    ]
