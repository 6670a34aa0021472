"""What is known of the tracers of brain PET and SPECT: names, kind, nuclide, window, region.

Imports nothing of ours. A window is that of a static image whose ratio to the reference region is
taken for binding or metabolism; ``customary`` stands where sites agree and no paper is named.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ISOTOPE_PREFIX = r"(?:11C|13N|15O|18F|64Cu|68Ga|89Zr|123I|124I)"
"""How labels of tracers begin that name their nuclide, e.g. ``18FFDG``."""

OTHER = "other"
"""Kind of the tracers that belong to none of those with a kind of their own."""


@dataclass(frozen=True)
class Tracer:
    """One tracer.

    Attributes
    ----------
    name
        As people write it.
    kind
        ``glucose``, ``amyloid``, ``tau``, ``dopamine`` or ``other``.
    aliases
        Its names in lower case, letters and digits only, without the nuclide.
    nuclide
        As PET-BIDS writes it; empty where it is made with several.
    window
        Usual minutes after injection; None where no static image of it is usual.
    window_source
        Where the window comes from.
    regions
        Usual reference regions of SUVR by the names of
        :data:`fusionprep.suvr_regions.REFERENCE_REGIONS`, first the one that is taken where nobody
        chooses; empty where none is known to us.
    regions_source
        Where the regions come from.
    whole_words
        Whether aliases count only as whole names, because they are parts of other words.
    """

    name: str
    kind: str
    aliases: tuple[str, ...]
    nuclide: str = ""
    window: tuple[float, float] | None = None
    window_source: str = ""
    regions: tuple[str, ...] = ()
    regions_source: str = ""
    whole_words: bool = False


_CENTILOID = "Klunk et al., Alzheimers Dement 2015;11:1-15"
_TAU_PAIR = "Gogola et al., J Nucl Med 2022;63:108-117"
_CEREBELLUM = ("cerebellum", "cerebellar-gm")
_TAU_REGIONS = ("inferior-cerebellar-gm", "cerebellar-gm", "cerebellum")
_BAKER = "Baker et al., Data Brief 2017;15:648-657: inferior, as the superior cerebellum binds"
_TAU_CUSTOM = "customary: inferior cerebellar gray matter"
_LAMMERTSMA = "Lammertsma and Hume, Neuroimage 1996;4:153-158: cerebellum"

TRACERS = (
    Tracer(
        "[18F]FDG",
        "glucose",
        ("fdg", "fluorodeoxyglucose"),
        "F18",
        (30.0, 60.0),
        "customary; guidelines ask for an uptake of at least 30 min",
        # Whole brain first: 1200 ml that need no registration to a template. Where a disease lowers
        # the mean of the brain, as Alzheimer's does, the pons has to be asked for.
        ("whole-brain", "pons", "gm", *_CEREBELLUM),
        "customary: the mean of brain or gray matter, pons, cerebellum",
    ),
    Tracer(
        "[11C]PiB",
        "amyloid",
        ("pib", "pittsburghcompoundb"),
        "C11",
        (50.0, 70.0),
        _CENTILOID,
        ("cerebellar-gm", "cerebellum", "pons"),
        "Price et al., J Cereb Blood Flow Metab 2005;25:1528-1547: cerebellar gray matter;"
        f" {_CENTILOID}: whole cerebellum, pons",
    ),
    Tracer(
        "[18F]florbetapir",
        "amyloid",
        ("florbetapir", "av45", "fbp"),
        "F18",
        (50.0, 70.0),
        "Joshi et al., J Nucl Med 2015;56:1736-1741: 50 to 60; others to 70",
        (*_CEREBELLUM, "wm"),
        "customary: whole cerebellum, white matter in longitudinal studies",
    ),
    Tracer(
        "[18F]florbetaben",
        "amyloid",
        ("florbetaben", "fbb"),
        "F18",
        (90.0, 110.0),
        "Rowe et al., Eur J Nucl Med Mol Imaging 2017;44:2053-2059",
        _CEREBELLUM,
        "Rowe et al., Eur J Nucl Med Mol Imaging 2017;44:2053-2059: whole cerebellum",
    ),
    Tracer(
        "[18F]flutemetamol",
        "amyloid",
        ("flutemetamol", "fmm"),
        "F18",
        (85.0, 115.0),
        "Thurfjell et al., Human Amyloid Imaging 2010 (85 to 115); customary 90 to 110",
        (*_CEREBELLUM, "pons"),
        "Thurfjell et al., Human Amyloid Imaging 2010: cerebellar cortex, pons",
    ),
    Tracer(
        "[18F]NAV4694",
        "amyloid",
        ("nav4694", "azd4694", "4694", "flutafuranol"),
        "F18",
        (50.0, 70.0),
        "customary",
        _CEREBELLUM,
        "customary: cerebellum",
    ),
    Tracer(
        "[18F]flortaucipir",
        "tau",
        ("flortaucipir", "av1451", "t807", "ftp"),
        "F18",
        (80.0, 100.0),
        _TAU_PAIR,
        _TAU_REGIONS,
        _BAKER,
    ),
    Tracer(
        "[18F]MK-6240",
        "tau",
        ("mk6240", "florquinitau"),
        "F18",
        (70.0, 110.0),
        f"{_TAU_PAIR}: 70 to 90; others 90 to 110",
        _TAU_REGIONS,
        f"customary: inferior cerebellar gray matter; {_TAU_PAIR}: cerebellar gray matter",
    ),
    Tracer(
        "[18F]PI-2620",
        "tau",
        ("pi2620",),
        "F18",
        (45.0, 75.0),
        "customary",
        _TAU_REGIONS,
        _TAU_CUSTOM,
    ),
    Tracer(
        "[18F]RO-948",
        "tau",
        ("ro948",),
        "F18",
        regions=_TAU_REGIONS,
        regions_source=_TAU_CUSTOM,
    ),
    Tracer("[18F]GTP1", "tau", ("gtp1",), "F18", regions=_TAU_REGIONS, regions_source=_TAU_CUSTOM),
    Tracer("[18F]THK5351", OTHER, ("thk5351",), "F18"),
    Tracer("DOPA", "dopamine", ("fdopa", "dopa", "fluorodopa")),
    Tracer(
        "[11C]raclopride",
        "dopamine",
        ("raclopride",),
        "C11",
        regions=_CEREBELLUM,
        regions_source=_LAMMERTSMA,
    ),
    Tracer("[18F]fallypride", "dopamine", ("fallypride",), "F18"),
    Tracer("DTBZ", "dopamine", ("dtbz", "dihydrotetrabenazine")),
    Tracer("[18F]AV-133", OTHER, ("av133", "florbenazine"), "F18"),
    Tracer("FP-CIT", "dopamine", ("fpcit",)),
    Tracer("[123I]ioflupane", "dopamine", ("ioflupane",), "I123"),
    Tracer("PE2I", "dopamine", ("pe2i",)),
    Tracer("[18F]FMT", "dopamine", ("fmt",), "F18"),
    Tracer("[11C]DASB", OTHER, ("dasb",), "C11"),
    Tracer("PK11195", OTHER, ("pk11195",)),
    Tracer("[11C]PBR28", OTHER, ("pbr28",), "C11"),
    Tracer("[18F]PBR111", OTHER, ("pbr111",), "F18"),
    Tracer("[18F]DPA-714", OTHER, ("dpa714",), "F18"),
    Tracer("[11C]ER176", OTHER, ("er176",), "C11"),
    Tracer("UCB-J", OTHER, ("ucbj",)),
    Tracer("[18F]SynVesT", OTHER, ("synvest",), "F18"),
    Tracer("[11C]FLB457", OTHER, ("flb457",), "C11"),
    Tracer("[11C]SCH23390", OTHER, ("sch23390",), "C11"),
    Tracer("[11C]WAY100635", OTHER, ("way100635",), "C11"),
    Tracer("[11C]Cimbi-36", OTHER, ("cimbi36",), "C11"),
    Tracer("flumazenil", OTHER, ("flumazenil", "fmz")),
    Tracer("methionine", OTHER, ("methionine",)),
    Tracer("choline", OTHER, ("choline",)),
    Tracer("DOTATOC", OTHER, ("dotatoc",)),
    Tracer("DOTATATE", OTHER, ("dotatate",)),
    *(
        Tracer(alias, OTHER, (alias,), whole_words=True)
        for alias in ("flt", "fet", "fes", "rac", "ply", "cft", "h2o", "water", "met", "psma")
    ),
)


def find_tracer(text: str | None) -> Tracer | None:
    """The tracer of a label or a name, e.g. ``18FFDG``, ``[11C]PiB`` or ``6-[18F]-L-DOPA``.

    The whole name comes before parts of it, and longer parts before shorter ones.
    """
    written = re.sub("[^a-z0-9]", "", (text or "").lower())
    plain = re.sub(f"^{ISOTOPE_PREFIX}", "", written, flags=re.IGNORECASE)
    for tracer in TRACERS:
        if plain in tracer.aliases:
            return tracer
    parts = [
        (len(alias), tracer)
        for tracer in TRACERS
        if not tracer.whole_words
        for alias in tracer.aliases
        if alias in written
    ]
    return max(parts, key=lambda part: part[0])[1] if parts else None


def is_tracer_label(label: str) -> bool:
    """Whether a label can only be a tracer: a known one, or any that begins with a nuclide."""
    known = "|".join(_longest_first(alias for tracer in TRACERS for alias in tracer.aliases))
    pattern = rf"{ISOTOPE_PREFIX}\w+|{ISOTOPE_PREFIX}?(?:{known})"
    return re.fullmatch(pattern, label, re.IGNORECASE) is not None


def _longest_first(words: Iterable[str]) -> list[str]:
    return sorted(words, key=len, reverse=True)
