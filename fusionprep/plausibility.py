"""What quantities can be: limits and where they come from.

Outside its limits a quantity is not used, and nothing that needs it is written; where there are
wider and narrower limits, what lies between both has to be looked at.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """A plausible range.

    Attributes
    ----------
    quantity
        What it is of, as the subject of a sentence, e.g. ``"the injected dose"``.
    low, high
        Both still plausible.
    unit
        As people write it; empty for a ratio.
    source
        Where the range comes from.
    """

    quantity: str
    low: float
    high: float
    unit: str
    source: str

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def problem(self, value: float) -> str:
        """What is wrong with a value; empty inside the limits.

        Examples
        --------
        >>> Limits("the body weight", 0.5, 500, "kg", "").problem(770.0)
        'the body weight of 770 kg is outside 0.5 to 500 kg'
        """
        if value in self:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        limits = f"{self.low:g} to {self.high:g}{unit}"
        return f"{self.quantity} of {value:.4g}{unit} is outside {limits}"


BRAIN_SUV = Limits(
    "the mean SUV of the brain",
    *(0.05, 50.0),
    "g/mL",
    "1 is the mean of a body that keeps the whole dose, by definition; brains are within 0.3 to 20"
    " with every tracer in use, and far beside that dose, weight or a unit is wrong",
)
USUAL_BRAIN_SUV = Limits(BRAIN_SUV.quantity, 0.3, 20.0, BRAIN_SUV.unit, BRAIN_SUV.source)

GLUCOSE_GM_WM = Limits(
    "the ratio of gray to white matter",
    *(1.3, 8.0),
    "",
    "glucose metabolism of gray matter is 2 to 4 times that of white (Huang et al., Am J Physiol"
    " 1980;238:E69-E82); the scanner's resolution brings 1.5 to 2.5",
)

AGE = Limits("the age", 0.0, 122.0, "years", "the oldest person known")

ADULT = 18.0
"""Years from which the limits of adults hold."""

_VOLUMES = (
    "adults of the Human Connectome Project and of UK Biobank; brain masks with their fluid are"
    " larger, and volumes of the old and of the demented smaller, than means of the young"
)
ADULT_BRAIN_ML = Limits("the brain's volume", 800.0, 2000.0, "mL", _VOLUMES)
ADULT_TISSUES_ML = {
    "GM": Limits("the volume of gray matter", 400.0, 1000.0, "mL", _VOLUMES),
    "WM": Limits("the volume of white matter", 300.0, 800.0, "mL", _VOLUMES),
    "CSF": Limits("the volume of cerebrospinal fluid in the mask", 20.0, 700.0, "mL", _VOLUMES),
}
_CHILDREN = "newborns have brains of about 350 mL (Knickmeyer et al., J Neurosci 2008;28:12176)"
CHILD_BRAIN_ML = Limits("the brain's volume", 250.0, 2000.0, "mL", _CHILDREN)
CHILD_TISSUES_ML = {
    "GM": Limits("the volume of gray matter", 100.0, 1050.0, "mL", _CHILDREN),
    "WM": Limits("the volume of white matter", 60.0, 800.0, "mL", _CHILDREN),
    "CSF": Limits("the volume of cerebrospinal fluid in the mask", 5.0, 700.0, "mL", _CHILDREN),
}

LONGEST_SIDE = Limits(
    "the longest side of the image",
    *(20.0, 3000.0),
    "mm",
    "a head is about 200 mm, the longest scanners of whole bodies cover 2 m: an image whose sides"
    " are in another unit is a thousand times beside that",
)
POSSIBLE_SIDE = Limits(LONGEST_SIDE.quantity, 1.0, LONGEST_SIDE.high, "mm", LONGEST_SIDE.source)

FIELD_OF_VIEW = Limits(
    "the field of view",
    *(120.0, LONGEST_SIDE.high),
    "mm",
    "brains of adults are about 130 mm high, 140 wide and 170 long (Talairach and Tournoux 1988;"
    " Zilles et al. in Duvernoy 1999): what shows less along any axis is a slab",
)
BRAIN_SIDES_MM = (130.0, 140.0, 170.0)
"""Height, width and length of a brain, by the same sources."""

SLICE_JUMP = Limits(
    "the jump of a slice's mean against its neighbours",
    *(1.0, 1.3),
    "",
    "five FDG PET of four data sets and two templates have at most 1.11, and 1.21 in slices of"
    " 8 mm, since the resolution of scanners joins neighbours; one slice scaled by 2 gives 2, all"
    " slices on one side 1.41",
)
PET_NOISE = Limits(
    "the noise of the PET in white matter",
    *(0.0, 0.5),
    "",
    "four FDG PET of three data sets have 0.09 to 0.16; a uniform region should have 0.15 at most"
    " (Boellaard et al., Eur J Nucl Med Mol Imaging 2015;42:328-354)",
)
