"""The kinds of image that fusionprep knows. Imports nothing, since every layer reads it.

Nothing else compares the name of a modality; it asks for an attribute.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Modality:
    """A kind of image.

    Attributes
    ----------
    name
        What users type and queries are called, e.g. ``pet``.
    label
        What people and names of outputs call it, e.g. ``PET``.
    full_name
        Spelled out.
    dicom
        DICOM's code for the kind of scanner (PS3.3 C.7.3.1.1.1), as sidecars have it.
    in_app
        Whether the App looks for it; others are fused from two files only.
    fused
        Whether it is fused with an anatomical image; every other modality is one.
    tracer
        Whether it shows a tracer: it has frames, units of activity and SUV, its brain is bright,
        and it is scaled from 0 and shown in colour.
    units
        The units it always has; empty where they differ from image to image, or there are none.
    outside
        Level outside the field of view, in its units.
    window
        Levels shown as black and white where its units allow one for all; None where they are
        found in each image.
    magnitude_only
        Whether phase images of the same suffix are left out.
    bright_csf
        Whether cerebrospinal fluid is bright.
    colour_map
        How pictures show it, by the name that matplotlib and NiiVue share.
    """

    name: str
    label: str
    full_name: str
    dicom: str = "MR"
    in_app: bool = True
    fused: bool = False
    tracer: bool = False
    units: str = ""
    outside: float = 0.0
    window: tuple[float, float] | None = None
    magnitude_only: bool = False
    bright_csf: bool = False
    colour_map: str = "gray"

    @property
    def short_name(self) -> str:
        """Without weighting, as folders and platforms often call it, e.g. ``t1``."""
        return self.name.removesuffix("w")

    @property
    def anatomical(self) -> bool:
        """Whether other modalities can be fused with it."""
        return not self.fused

    @property
    def hounsfield(self) -> bool:
        """Whether its levels are Hounsfield units: the whole head is shown, and a table."""
        return self.units == "HU"


T1W = Modality(name="t1w", label="T1w", full_name="T1-weighted MRI", magnitude_only=True)
PET = Modality(
    name="pet",
    label="PET",
    full_name="positron emission tomography",
    dicom="PT",
    fused=True,
    tracer=True,
    colour_map="inferno",
)
SPECT = Modality(
    name="spect",
    label="SPECT",
    full_name="single-photon emission computed tomography",
    dicom="NM",
    in_app=False,
    fused=True,
    tracer=True,
    colour_map="inferno",
)
# The wide window keeps air black, soft tissue dark gray and bone bright, so that a CT can be fused
# with an MRI without veiling it.
CT = Modality(
    name="ct",
    label="CT",
    full_name="computed tomography",
    dicom="CT",
    fused=True,
    units="HU",
    outside=-1000.0,
    window=(-150.0, 1350.0),
    colour_map="bone",
)
FLAIR = Modality(
    name="flair",
    label="FLAIR",
    full_name="fluid-attenuated inversion recovery MRI",
    magnitude_only=True,
)
T2W = Modality(
    name="t2w", label="T2w", full_name="T2-weighted MRI", magnitude_only=True, bright_csf=True
)

MODALITIES = (T1W, PET, SPECT, CT, FLAIR, T2W)
"""All of them, in the order of tables and reports."""

APP_MODALITIES = tuple(modality for modality in MODALITIES if modality.in_app)
"""Those the App looks for."""

MOVED = tuple(modality for modality in APP_MODALITIES if modality is not T1W)
"""Those the App brings to the T1w."""

FUSED = tuple(modality for modality in MODALITIES if modality.fused)
"""Those that are fused with an anatomical image, by the App or from two files."""

APP_FUSED = tuple(modality for modality in APP_MODALITIES if modality.fused)
"""Those that the App fuses."""

CONTRASTS = tuple(modality for modality in APP_MODALITIES if modality.anatomical)
"""What they can be fused with."""


def get_modality(name: str) -> Modality:
    """The modality of that name or label, in any case.

    Raises
    ------
    ValueError
        When there is no such modality.

    Examples
    --------
    >>> get_modality("ct").outside
    -1000.0
    >>> get_modality("FLAIR").anatomical
    True
    """
    for modality in MODALITIES:
        if name.lower() == modality.name:
            return modality
    names = ", ".join(modality.name for modality in MODALITIES)
    raise ValueError(f"unknown modality {name!r}; there are: {names}")
