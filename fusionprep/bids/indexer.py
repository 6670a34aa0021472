"""What pybids gets to see of a dataset: the subjects' images, with names that it can take.

pybids itself lists every file, follows links in circles, and reads names such as ``a::b`` as
addresses on the network.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bids import BIDSLayoutIndexer

from fusionprep.bids.odd_names import unusable

# A subject's folder, sessions, kinds of image, and as many again.
_DEEPEST = 6
# The folder of a subject may be kept elsewhere, and that of a session once more.
_MOST_LINKS = 2


@dataclass(frozen=True)
class _Trail:
    """How a folder was reached: the folders before it, by device and number, and links."""

    folders: frozenset[tuple[int, int]] = frozenset()
    links: int = 0


_START = _Trail()


class ImageIndexer(BIDSLayoutIndexer):
    """Indexes images by name, whatever lies under it; opens no file.

    Parameters
    ----------
    extensions
        Of images.
    ignore
        Patterns of paths to leave out, from the root of the dataset, with a slash in front.
    """

    def __init__(self, extensions: Sequence[str], ignore: Sequence[re.Pattern[str]]) -> None:
        super().__init__(validate=False, index_metadata=False)
        self._walk = _Walk(tuple(extensions), tuple(ignore))

    def _index_dir(self, path: Any, config: Any) -> tuple[list[Any], list[Any]]:
        entities = {name: entity for part in config for name, entity in part.entities.items()}
        images = self._walk.images(Path(str(path)))
        # joined as text: pybids' paths take `data:x` for an address
        indexed = [self._index_file(type(path)(f"{path}{name}"), entities) for name in images]
        return [file for file, _ in indexed], [tag for _, tags in indexed for tag in tags]


@dataclass(frozen=True)
class _Walk:
    """Which files are images, and what is left out."""

    extensions: tuple[str, ...]
    ignore: tuple[re.Pattern[str], ...]

    def images(self, root: Path, below: str = "", trail: _Trail = _START) -> Iterator[str]:
        """Paths of the subjects' images from the root, with a slash in front."""
        folder = Path(f"{root}{below}")
        here = folder.stat()
        trail = _Trail(trail.folders | {(here.st_dev, here.st_ino)}, trail.links)
        for entry in _listed(folder):
            name = f"{below}/{entry.name}"
            if unusable(entry.name) or any(regex.search(name) for regex in self.ignore):
                continue
            if not (below or entry.name.startswith("sub-")):
                continue
            # a folder with the name of an image is told as such when its header is read
            if below and entry.name.endswith(self.extensions):
                yield name
            elif onward := _into(entry, trail):
                yield from self.images(root, name, onward)


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        # told when its subject is planned
        return []


def _into(entry: os.DirEntry[str], trail: _Trail) -> _Trail | None:
    """The trail into a folder; None for a file, and where there is no end to it."""
    links = trail.links + entry.is_symlink()
    if links > _MOST_LINKS or len(trail.folders) > _DEEPEST:
        return None
    try:
        if not entry.is_dir():
            return None
        target = entry.stat()
    except OSError:
        # a link to itself
        return None
    onward = (target.st_dev, target.st_ino) not in trail.folders
    return _Trail(trail.folders, links) if onward else None
