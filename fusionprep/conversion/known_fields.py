"""Which fields of other programs' sidecars are copied, so that nobody can be told by them."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from fusionprep.bids.contents import DESCRIPTIONS
from fusionprep.conversion.pet_fields import TIMES
from fusionprep.modalities import Modality

_SCANNER = (
    *("Modality", "Manufacturer", "ManufacturersModelName", "SoftwareVersions", "ImageType"),
    *("BodyPartExamined", "ConversionSoftware", "ConversionSoftwareVersion", *DESCRIPTIONS),
)
_MR = (
    *("MagneticFieldStrength", "MRAcquisitionType", "ScanningSequence", "SequenceVariant"),
    *("ScanOptions", "SequenceName", "PulseSequenceName", "PulseSequenceType", "EchoTime"),
    *("RepetitionTime", "RepetitionTimeExcitation", "InversionTime", "FlipAngle", "DwellTime"),
    *("SliceThickness", "PixelBandwidth", "PartialFourier", "ParallelReductionFactorInPlane"),
    *("ReceiveCoilName", "ReceiveCoilActiveElements", "MatrixCoilMode", "CoilCombinationMethod"),
    *("NonlinearGradientCorrection", "PhaseEncodingDirection", "ContrastBolusAgent"),
    *(
        "ContrastBolusIngredient",
        "ImageOrientationPatientDICOM",
        "InPlanePhaseEncodingDirectionDICOM",
    ),
)
_CT = (
    *("XRayTubeVoltage", "KVP", "XRayTubeCurrent", "XRayExposure", "ConvolutionKernel"),
    *("ReconstructionDiameter", "SliceThickness", "Units", "ContrastBolusAgent"),
)
_PET = (
    *TIMES,
    *("Units", "SUVType", "BodyPart", "TracerName", "TracerRadionuclide", "TracerSNOMED"),
    *("TracerRadLex", "TracerMolecularWeight", "TracerMolecularWeightUnits"),
    *("InjectedRadioactivity", "InjectedRadioactivityUnits", "InjectedMass", "InjectedMassUnits"),
    *("InjectedMassPerWeight", "InjectedMassPerWeightUnits", "InjectedVolume"),
    *("SpecificRadioactivity", "SpecificRadioactivityUnits", "MolarActivity"),
    *("MolarActivityUnits", "Purity", "ModeOfAdministration", "InfusionRadioactivity"),
    *("InfusionSpeed", "InfusionSpeedUnits", "AcquisitionMode"),
    *("DecayCorrection", "ReconMethodName", "ReconMethodParameterLabels"),
    *("ReconMethodParameterUnits", "ReconMethodParameterValues"),
    *("ReconMethodImplementationVersion", "ReconFilterType", "ReconFilterSize"),
    *("AttenuationCorrection", "AttenuationCorrectionMethodReference", "CorrectedImage"),
    *("ScatterFraction", "PromptRate", "SinglesRate", "RandomRate", "ScaleFactor"),
    *("DoseCalibrationFactor", "PointSpreadFWHM", "SliceThickness"),
)


def kept_fields(
    metadata: Mapping[str, Any], modality: Modality, private: Iterable[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """The fields that are copied, and the names of those that are not.

    Copied are fields that describe scanner, sequence, tracer and reconstruction, by a list. People,
    institutions, devices by their numbers, dates and times of day are not on it; free text on it is
    left out where it holds a private word.

    Parameters
    ----------
    metadata
        A sidecar.
    modality
        Decides which fields make sense.
    private
        Words that must not be copied, e.g. the parts of a name.
    """
    special = _PET if modality.tracer else _CT if modality.hounsfield else _MR
    words = [re.escape(word) for word in private if len(word) > 2]
    secret = re.compile("|".join(words), re.IGNORECASE) if words else None
    kept = {
        name: value
        for name, value in metadata.items()
        if name in (*_SCANNER, *special) and not (secret and secret.search(str(value)))
    }
    return kept, sorted(name for name in metadata if name not in kept)


def private_words(fields: Mapping[str, Any]) -> list[str]:
    """The parts of a name and of identifiers, by their names in sidecars and headers.

    Examples
    --------
    >>> private_words({"PatientName": "Doe^Jane", "PatientID": "123"})
    ['Doe', 'Jane', '123']
    """
    names = ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber")
    words = " ".join(str(fields.get(name) or "") for name in names)
    return re.split(r"[\s^,=]+", words.strip())
