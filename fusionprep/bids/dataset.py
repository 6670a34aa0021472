"""The files that describe the derivative dataset as a whole."""

import re
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from fusionprep._version import __version__
from fusionprep.bids.earlier import description_of, software_of
from fusionprep.bids.fused_names import fused_descriptions
from fusionprep.bids.names import DESCRIPTIONS, IMAGE
from fusionprep.bids.provenance import authors, container, dataset_link, raw_link
from fusionprep.bids.subject_tables import PARTICIPANTS
from fusionprep.config import Config
from fusionprep.config_checks import RAW
from fusionprep.errors import OutputError, UnreadableFileError
from fusionprep.files import (
    json_text,
    table_text,
    taking_turns,
    update_text,
)
from fusionprep.models.registry import get_model
from fusionprep.reading import read_json_object, read_table, unfetched

CODE_URL = "https://github.com/fusionprep/fusionprep"
BIDS_VERSION = "1.10.0"


def prepare_output(config: Config) -> str:
    """Create the output folder and write what describes it.

    Returns
    -------
    str
        What was found damaged there and mended; empty where nothing was.

    Raises
    ------
    OutputError
        When the folder cannot be created or written, or holds another dataset.
    """
    out = config.output_dir
    refuse_other_dataset(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        update_text(out / ".bidsignore", _packaged("bidsignore"))
        update_text(out / "README.md", _packaged("derivatives_readme.md"))
        update_text(out / "dataset_description.json", json_text(describe_dataset(config)))
        with taking_turns(out / "descriptions.tsv"):
            return _write_descriptions(config)
    except OSError as error:
        raise OutputError(
            f"cannot write to the output folder {out}: {error.strerror};"
            " choose another or correct its permissions"
        ) from error


def describe_dataset(config: Config) -> dict[str, object]:
    """The content of ``dataset_description.json``; paths in it are relative."""
    raw = _read_json(config.bids_dir / "dataset_description.json")
    generated_by: dict[str, Any] = {
        "Name": "fusionprep",
        "Version": __version__,
        "CodeURL": CODE_URL,
    }
    if made_in := container():
        generated_by["Container"] = made_in
    description: dict[str, object] = {
        "Name": f"fusionprep derivatives of {_text(raw, 'Name') or config.bids_dir.name}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "Authors": authors(raw),
        "GeneratedBy": [generated_by],
        "HowToAcknowledge": "Please cite the works listed in logs/CITATION.md.",
    }
    links, sources = {}, []
    if link := raw_link(config.bids_dir, config.output_dir, raw):
        links[RAW] = link
    if text := _text(raw, "License"):
        description["License"] = text
    if doi := _text(raw, "DatasetDOI"):
        sources.append({"DOI": doi})
    for name, folder in config.selection.derivatives.items():
        own = description_of(folder)
        if link := dataset_link(folder, config.output_dir, own):
            links[name] = link
        doi = _text(own, "DatasetDOI")
        known = {"Name": name, "Version": software_of(name, folder), "DOI": doi}
        sources.append({key: value for key, value in known.items() if value})
    description |= {"DatasetLinks": links} if links else {}
    description |= {"SourceDatasets": sources} if sources else {}
    return description


def _text(raw: Mapping[str, Any], field: str) -> str:
    """A field of the raw dataset's description; empty where it is not text."""
    value = raw.get(field)
    return value if isinstance(value, str) else ""


def refuse_other_dataset(out: Path) -> None:
    """Do not overwrite what describes a raw dataset or another program's derivatives.

    Raises
    ------
    OutputError
        When the folder holds such a dataset.
    """
    if (out / "dataset_description.json").exists() and made_by(out).get("Name") != "fusionprep":
        raise OutputError(
            f"the output folder {out} holds a dataset that fusionprep did not make;"
            " choose another, such as a new folder below it"
        )


def made_by(out: Path) -> dict[str, Any]:
    """What a folder of derivatives says made it: the first of ``GeneratedBy``; empty if nothing."""
    generated = _read_json(out / "dataset_description.json").get("GeneratedBy")
    first = generated[0] if isinstance(generated, list) and generated else None
    return first if isinstance(first, dict) else {}


def other_version(output_dir: Path) -> str | None:
    """The version that made what is in the output folder, where it is not this one."""
    maker = made_by(output_dir)
    if maker.get("Name") != "fusionprep":
        return None
    version = maker.get("Version")
    return version if version not in (None, __version__) else None


def write_participants(config: Config) -> str:
    """Write ``participants.tsv``: a row for each subject with derivatives.

    Columns and their descriptions come from the raw dataset where it has them.

    Returns
    -------
    str
        Why there are no columns of the raw dataset; empty where its table could be read.
    """
    # of two runs, the last to write must be the last to have looked
    with taking_turns(config.output_dir / PARTICIPANTS):
        return _write_participants(config, _with_images(config.output_dir))


def add_participant(config: Config, label: str) -> str:
    """Add a subject's row to ``participants.tsv``, where it has derivatives.

    Other subjects are taken from the table, since looking for the images of thousands takes long.

    Parameters
    ----------
    label
        Participant label without ``sub-``.

    Returns
    -------
    str
        What :func:`write_participants` returns.
    """
    name = f"sub-{label}"
    if not any((config.output_dir / name).rglob(f"*{IMAGE}")):
        return ""
    with taking_turns(config.output_dir / PARTICIPANTS):
        listed = _listed(config.output_dir / PARTICIPANTS) or _with_images(config.output_dir)
        return _write_participants(config, listed | {name})


def _with_images(output_dir: Path) -> set[str]:
    return {path.relative_to(output_dir).parts[0] for path in output_dir.glob(f"sub-*/**/*{IMAGE}")}


def _listed(path: Path) -> set[str]:
    """Subjects in the table of the derivatives; none where it is damaged."""
    try:
        names = {row.get("participant_id", "") for row in read_table(path)}
    except UnreadableFileError:
        return set()
    return names if all(re.fullmatch(r"sub-[0-9A-Za-z+]+", name) for name in names) else set()


def _write_participants(config: Config, present: Collection[str]) -> str:
    if not present:
        return ""
    raw_rows, problem = _raw_rows(config.bids_dir / PARTICIPANTS)
    columns = list(next(iter(raw_rows.values()), {"participant_id": None}))
    rows = [
        {column: raw_rows.get(name, {}).get(column) or "n/a" for column in columns}
        | {"participant_id": name}
        for name in sorted(present)
    ]
    update_text(config.output_dir / PARTICIPANTS, table_text(columns, rows))
    described = _read_json(config.bids_dir / "participants.json")
    copied = {"Description": "Copied from participants.tsv of the raw dataset"}
    sidecar = {"Description": "Subjects with derivatives in this dataset"}
    sidecar |= {column: described.get(column, copied) for column in columns}
    update_text(config.output_dir / "participants.json", json_text(sidecar))
    return problem


def _raw_rows(path: Path) -> tuple[dict[str, dict[str, str]], str]:
    """Rows of the raw table by subject, and why there are none."""
    reason = unfetched(path)
    if not reason:
        try:
            rows = read_table(path)
        except UnreadableFileError as error:
            reason = f"cannot be read ({error.reason})"
        else:
            return {row["participant_id"]: row for row in rows if row.get("participant_id")}, ""
    return {}, f"{path} {reason}; participants.tsv of the derivatives has no columns of it"


def unreadable_tables(bids_dir: Path) -> list[str]:
    """A line for each file about the participants of a raw dataset that cannot be used.

    They are needed at the end of a run, which is too late to be told.
    """
    problem = _raw_rows(bids_dir / PARTICIPANTS)[1]
    lines = [problem] if problem else []
    try:
        read_json_object(bids_dir / "participants.json")
    except UnreadableFileError as error:
        if not error.absent:
            lines.append(f"{error}; columns of participants.tsv will not be described")
    return lines


def _write_descriptions(config: Config) -> str:
    """Add this run's ``desc-`` labels to those of earlier runs; what was wrong with their table."""
    path = config.output_dir / "descriptions.tsv"
    known, damaged = _described(path)
    entries = [get_model(model) for model in config.fusion.models]
    known |= fused_descriptions(entries, config.selection.moved, config.fusion.contrast)
    known |= DESCRIPTIONS
    rows = [
        {"desc_id": f"desc-{desc}", "description": text} for desc, text in sorted(known.items())
    ]
    update_text(path, table_text(["desc_id", "description"], rows))
    columns = {
        "Description": "Labels of the desc entity in this dataset",
        "desc_id": {"Description": "Label of the desc entity"},
        "description": {"Description": "What images with this label show"},
    }
    update_text(config.output_dir / "descriptions.json", json_text(columns))
    lost = "it is written again, and labels of earlier runs may be missing from it"
    return f"{path} was damaged: {lost}" if damaged else ""


def _described(path: Path) -> tuple[dict[str, str], bool]:
    """What an earlier run's table says of each label, and whether some of it makes no sense."""
    try:
        rows = read_table(path)
    except UnreadableFileError:
        return {}, True
    # a table is cut off or mixed up where a row lacks one of the two
    known = {
        row["desc_id"].removeprefix("desc-"): " ".join(row["description"].split())
        for row in rows
        if re.fullmatch(r"desc-[0-9A-Za-z]+", row.get("desc_id", "")) and row.get("description")
    }
    return known, len(known) < len(rows) or (not rows and path.is_file())


def _packaged(name: str) -> str:
    return resources.files("fusionprep").joinpath("data", name).read_text("utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where the file is missing or holds something else."""
    try:
        return read_json_object(path)
    except UnreadableFileError:
        return {}
