"""The group's table of regions: a row for each PET, a column for each region and measure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fusionprep.bids import names
from fusionprep.bids.names import CORRECTIONS, corrected
from fusionprep.errors import DataError, UnreadableFileError
from fusionprep.files import json_text, table_text, write_text
from fusionprep.modalities import PET
from fusionprep.reading import read_table
from fusionprep.reports.group.rows import MISSING, cell
from fusionprep.reports.records import read_sidecar

REGIONS = "group_regions"

MEASURES: dict[str, tuple[str, str | None]] = {
    "mean": ("Mean PET", None),
    "sd": ("Standard deviation of the PET over voxels", None),
    "volume": ("Volume", "mm^3"),
    "suv": ("Mean standardised uptake value", "g/mL"),
    "suvr": ("Mean standardised uptake value ratio", "arbitrary"),
}
"""What is told of each region: in words, and its unit; None is the unit of the PET."""

CORRECTED = {
    f"{measure}_{corrected(method)}": (f"{text}, corrected for partial volume ({named})", unit)
    for method, named in CORRECTIONS.items()
    for measure, text, unit in (
        ("mean", "Mean PET", None),
        ("suv", "Mean standardised uptake value", "g/mL"),
        ("suvr", "Mean ratio of uptake to the reference region", "arbitrary"),
    )
} | {
    f"variance_{corrected('gtm')}": (
        f"Variance by noise of mean_{corrected('gtm')}, in units squared",
        None,
    ),
}
"""The same of what a table may have beside them, where partial volume was corrected."""

_COLUMN_OF = {"volume": "volume-mm3"}
IDENTITY: Mapping[str, tuple[str, str]] = {
    "participant_id": ("sub", "Participant, with prefix"),
    "session_id": ("ses", "Session of the PET, with prefix"),
    "tracer": ("trc", "Tracer: entity trc, else TracerName of the sidecar"),
    "reconstruction": ("rec", "Entity rec of the PET"),
    "run": ("run", "Entity run of the PET"),
    "task": ("task", "Entity task of the PET"),
}
"""Columns that tell one PET from all others, the entities that they are and what they mean."""

_PREFIXED = ("participant_id", "session_id")


def write_region_table(output_dir: Path) -> tuple[Path | None, list[str]]:
    """Write ``group_regions.tsv`` and ``.json`` from the tables of regions of all participants.

    A column is called ``<atlas>_<region>_<measure>``, the measures being those of
    :data:`MEASURES` and, where partial volume was corrected, of :data:`CORRECTED`. ``n/a`` stands
    where a region has no value, and ``absent_regions`` says why.

    Parameters
    ----------
    output_dir
        Output root of the participant level.

    Returns
    -------
    pathlib.Path or None
        The table; None, and none is left from before, where no regions were measured.
    list of str
        A line for each table that cannot be read.
    """
    output_dir = Path(output_dir)
    targets = [output_dir / f"{REGIONS}.{kind}" for kind in ("tsv", "json")]
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    columns: dict[str, dict[str, Any]] = {}
    problems = []
    for path in _tables(output_dir):
        try:
            _read(path, rows, columns)
        except (DataError, UnreadableFileError) as error:
            problems.append(f"{path.relative_to(output_dir)} left out: {error}")
    if not rows:
        for path in targets:
            path.unlink(missing_ok=True)
        return None, problems
    described: dict[str, dict[str, Any]] = {
        name: {"Description": text} for name, (_, text) in IDENTITY.items()
    }
    described["units"] = {"Description": "Units of means and standard deviations"}
    described["absent_regions"] = {"Description": "Regions without a value, and why"}
    described |= columns
    filled = [
        {name: row.get(name, MISSING) for name in described} for _, row in sorted(rows.items())
    ]
    write_text(targets[0], table_text(list(described), filled))
    write_text(targets[1], json_text(described))
    return targets[0], problems


def _tables(output_dir: Path) -> list[Path]:
    datatype = names.BIDS[PET].datatype
    ending = f"{datatype}/*_seg-*_{names.MORPH}{names.TABLE}"
    return sorted([*output_dir.glob(f"sub-*/{ending}"), *output_dir.glob(f"sub-*/ses-*/{ending}")])


def _read(
    path: Path,
    rows: dict[tuple[str, ...], dict[str, str]],
    columns: dict[str, dict[str, Any]],
) -> None:
    """Add what one table says to the row of its PET, and its columns to those described."""
    entities, _ = names.parse_name(path.name)
    seg, sidecar = entities.get("seg", ""), read_sidecar(names.sidecar_path(path))
    regions = read_table(path)
    if regions and not {"name", "mean", "absent", "volume-mm3"} <= set(regions[0]):
        raise DataError("it has other columns than this version writes; run the subject again")
    key = tuple(entities.get(entity, "") for entity, _ in IDENTITY.values())
    row = rows.setdefault(key, _identity(entities, sidecar))
    mean = sidecar.get("mean")
    row["units"] = cell(mean.get("Units") if isinstance(mean, Mapping) else None)
    absent = [] if row.get("absent_regions", MISSING) == MISSING else [row["absent_regions"]]
    for region in regions:
        name = region["name"]
        has = {measure: told for measure, told in CORRECTED.items() if measure in region}
        for measure, (text, unit) in (MEASURES | has).items():
            column = f"{seg}_{name}_{measure}"
            row[column] = region.get(_COLUMN_OF.get(measure, measure)) or MISSING
            columns.setdefault(column, _description(text, unit, name, seg))
        if region["absent"] != MISSING:
            absent.append(f"{seg} {name}: {region['absent']}")
    row["absent_regions"] = "; ".join(absent) or MISSING


def _identity(entities: Mapping[str, str], sidecar: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for column, (entity, _) in IDENTITY.items():
        value = entities.get(entity)
        prefix = f"{entity}-" if column in _PREFIXED else ""
        found[column] = MISSING if value is None else prefix + value
    if found["tracer"] == MISSING:
        found["tracer"] = cell(sidecar.get("TracerName"))
    return found


def _description(text: str, unit: str | None, name: str, seg: str) -> dict[str, str]:
    described = {"Description": f"{text} of {name} in seg-{seg}"}
    return described if unit is None else {**described, "Units": unit}
