"""What quantities can be: limits and where they come from.

Outside its limits a quantity is not used, and nothing that needs it is written; where there are
wider and narrower limits, what lies between both has to be looked at.
"""

from dataclasses import dataclass
from types import MappingProxyType


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


INJECTED_DOSE = Limits(
    "the injected dose",
    *(1.0, 3000.0),
    "MBq",
    "from tracer doses of tens of MBq (Cu-64, Zr-89, children) to water with O-15, of which brain"
    " studies inject 300 to 2000 MBq; less is not seen by a scanner, more is not allowed",
)
_COMMON_DOSE = Limits(
    INJECTED_DOSE.quantity,
    *(1.0, 1500.0),
    INJECTED_DOSE.unit,
    "guidelines of EANM and SNMMI for brain PET with FDG and with amyloid tracers stay under"
    " 400 MBq of F-18; studies inject up to about 900 MBq of C-11",
)
INJECTED_DOSES = MappingProxyType({"F18": _COMMON_DOSE, "C11": _COMMON_DOSE})
"""By radionuclide; :data:`INJECTED_DOSE` for others."""

UNTIMED_REFERENCE = Limits(
    "the time between injection and decay reference",
    *(0.0, 180.0),
    "min",
    "the latest windows in use begin 110 minutes after injection, delayed scans after 3 hours",
)

BODY_WEIGHT = Limits(
    "the body weight",
    *(0.5, 350.0),
    "kg",
    "from preterm infants to what tables of scanners carry (227 to 318 kg)",
)
ADULT_WEIGHT = Limits(
    "the body weight of an adult",
    *(35.0, 250.0),
    "kg",
    "from a body-mass index of 14 at 1.58 m, below which few adults are, to the usual limit of"
    " scanners' tables",
)
SAME_WEIGHT = Limits(
    "the ratio of two weights of one person",
    *(2 / 3, 1.5),
    "",
    "adults do not change by half from one visit to the next; pounds for kilograms is 2.2",
)

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
    "GM": Limits("the volume of gray matter", 400.0, 1150.0, "mL", _VOLUMES),
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

FRAME = Limits(
    "a PET frame",
    *(0.1 / 60, 180.0),
    "min",
    "scanners histogram tenths of a second; three hours are longer than any scan of the brain"
    " without a pause, and 1000 times less is a common frame in milliseconds",
)
FRAME_START = Limits(
    "the start of a PET frame after TimeZero",
    *(-24.0, 24.0),
    "h",
    "PET-BIDS: TimeZero is a time of the day of the scan",
)
PET_SCAN = Limits(
    "a PET scan",
    *(0.0, 8.0),
    "h",
    "from the first frame to the end of the last, pauses included; nobody lies in a scanner longer",
)
STATIC_FRAME = Limits(
    "the only frame",
    *(5.0, 10800.0),
    "s",
    "too few counts for an image of the brain; minutes written for seconds give 5 to 30",
)
SHORT_SCAN = Limits(
    "a dynamic PET scan",
    *(100.0, 28800.0),
    "s",
    "minutes written for seconds give 20 to 90; only water (O-15) is scanned as briefly",
)
DECAY_OF_FRAMES = Limits(
    "the time from TimeZero to a frame",
    *(-10.0, 10.0),
    "half-lives",
    "after ten half-lives a thousandth of the activity is left, less than a scanner can measure",
)
DECAY_BEFORE_SCAN = Limits(
    "the time from injection to the scan",
    *(-1.0, 5.0),
    "half-lives",
    "a scan begins at most shortly before the injection; after five half-lives 3 % of the activity"
    " is left, and later scans are not made of the brain",
)
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
