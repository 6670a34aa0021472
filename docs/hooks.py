"""What MkDocs does beyond its plugins when it builds the site.

README.md and CHANGES.md are pages of the site too. A link to a file of the repository that is not
a page leads to the repository on the web, and is an error where there is no such file. Tables
that a comment asks for are made from the code: ``<!-- options: fusionapp -->`` from the parser of
a command, ``<!-- tracers -->`` and ``<!-- models -->`` from the tables of tracers and models.
"""

import argparse
import logging
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/fusionprep/fusionprep/blob/main/"
MOVED = {"README.md": "index.md", "CHANGES.md": "changes.md"}
"""Files of the repository's root to the pages they are in the site."""

LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\[\]]*\])*\])\(([^)\s#]+)(#[^)\s]*)?\)")
MARKER = re.compile(r"^<!-- (options|tracers|models)(?:: ([\w -]+))? -->$", re.MULTILINE)
SECTIONS = {
    "--atlas": "pet/regions.md",
    "--atlas-labels": "tasks/own-atlas.md",
    "--bids-filter-file": "input.md#choose-images-yourself",
    "--combine-runs": "pet/runs.md",
    "--denoise-t1w": "how-it-works.md#noise-of-the-t1w",
    "--derivatives": "tasks/derivatives.md",
    "--device": "how-it-works.md#on-a-gpu",
    "--dry-run": "input.md",
    "--frames": "pet/frames.md",
    "--fs-subjects-dir": "tasks/own-atlas.md#freesurfer",
    "--fusion-model": "fused_images.md",
    "--fusion-weights": "tasks/train.md#use-the-weights",
    "--hmc": "pet/motion.md",
    "--ignore": "tasks/lesions.md",
    "--max-day-gap": "input.md#which-pet-goes-with-which-t1w",
    "--modalities": "tasks/ct.md",
    "--psf": "pet/partial-volume.md#the-point-spread",
    "--pvc": "pet/partial-volume.md",
    "--ratings": "tasks/quality-control.md#rate-the-scans",
    "--smooth": "pet/resolution.md",
    "--suvr-region": "pet/suvr.md",
    "--target-resolution": "pet/resolution.md",
    "--use-plugin": "tasks/cluster.md#a-job-for-each-step",
    "--work-dir": "tasks/many-subjects.md#the-work-directory",
}
"""Options of ``fusionapp`` to the place that says more about them."""

log = logging.getLogger("mkdocs.hooks")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are files of the repository's root."""
    for name, page in MOVED.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """A page with its links and tables."""
    uri = page.file.src_uri
    source = next((name for name, moved in MOVED.items() if moved == uri), f"docs/{uri}")
    return with_links(with_tables(markdown, uri), source)


def with_links(markdown: str, source: str) -> str:
    """Links of a file of the repository as they are in the site.

    Parameters
    ----------
    markdown
        The file's text.
    source
        Its path from the root of the repository.
    """
    uri = MOVED.get(source, source.removeprefix("docs/"))

    def moved(match: re.Match[str]) -> str:
        label, target, anchor = match[1], match[2], match[3] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        page = MOVED.get(file, file.removeprefix("docs/") if file.startswith("docs/") else None)
        if page is not None:
            return f"{label}({posixpath.relpath(page, posixpath.dirname(uri) or '.')}{anchor})"
        if not (ROOT / file).exists():
            log.warning("%s has a link to %s, which does not exist", source, file)
        return f"{label}({REPOSITORY}{file}{anchor})"

    return LINK.sub(moved, markdown)


def with_tables(markdown: str, uri: str) -> str:
    """A page with the tables that its comments ask for."""

    def made(match: re.Match[str]) -> str:
        kind, name = match[1], match[2]
        if kind == "options":
            return "\n".join(options(name, posixpath.dirname(uri)))
        return "\n".join(tracers() if kind == "tracers" else models())

    return MARKER.sub(made, markdown)


def options(command: str, folder: str) -> Iterator[str]:
    """Tables of the options of a command, one for each group of them.

    Parameters
    ----------
    command
        As it is typed: ``fusionapp``, ``fusionprep fuse``.
    folder
        Of the page, for links.
    """
    parser = _parser(command)
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.help != argparse.SUPPRESS]
        actions = [action for action in actions if action.dest not in ("help", "version")]
        if not actions:
            continue
        title = {"positional arguments": "Arguments"}.get(group.title, group.title.capitalize())
        first = "argument" if group.title == "positional arguments" else "option"
        yield from (f"**{title}**", "", f"| {first} | meaning |", "|---|---|")
        for action in actions:
            yield f"| {_names(action)} | {_description(parser, action, folder)} |"
        yield ""


def _parser(command: str) -> argparse.ArgumentParser:
    from bids_app.parser import build_parser
    from fusionprep import cli

    program, *subcommand = command.split()
    if program == "fusionapp":
        return build_parser()
    found = cli.build_parser()
    for name in subcommand:
        found = next(
            action.choices[name]
            for action in found._actions
            if isinstance(action, argparse._SubParsersAction)
        )
    return found


def _names(action: argparse.Action) -> str:
    """All spellings of an option, with the name of its value."""
    spelled = [name for name in action.option_strings if "_" not in name] or [
        str(action.metavar or action.dest)
    ]
    text = ", ".join(f"`{name}`" for name in spelled)
    takes = action.option_strings and action.nargs != 0
    value = action.metavar or ("" if action.choices else action.dest.upper())
    return f"{text} `{value}`" if takes and value else text


def _description(parser: argparse.ArgumentParser, action: argparse.Action, folder: str) -> str:
    help_text = parser._get_formatter()._expand_help(action) if action.help else ""
    text = re.sub(r"([*_|<])", r"\\\1", help_text)
    if action.choices and action.metavar is None:
        listed = ", ".join(f"`{choice}`" for choice in action.choices)
        text = f"{text}. One of {listed}" if action.nargs in (None, "?") else f"{text}. {listed}"
    more = [SECTIONS[name] for name in action.option_strings if name in SECTIONS]
    if more and parser.prog == "fusionapp":
        text = f"{text} ([more]({posixpath.relpath(more[0], folder or '.')}))"
    return text


def tracers() -> Iterator[str]:
    """The table of tracers: usual window and reference regions of each."""
    from fusionprep.tracers import TRACERS

    yield from ("| tracer | minutes | reference regions |", "|---|---|---|")
    for tracer in TRACERS:
        if tracer.window or tracer.regions:
            window = "–" if tracer.window is None else "{:g} to {:g}".format(*tracer.window)
            regions = ", ".join(f"`{region}`" for region in tracer.regions)
            yield f"| {tracer.name} | {window} | {regions} |"


def models() -> Iterator[str]:
    """The table of fusion models."""
    from fusionprep.models.registry import get_model, model_names

    yield from ("| name | what it is | year | weights trained on |", "|---|---|---:|---|")
    for entry in map(get_model, model_names()):
        trained = ", ".join(entry.modalities) or "–"
        yield f"| `{entry.name}` | {entry.title} | {entry.year or '–'} | {trained} |"
