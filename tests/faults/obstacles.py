"""Things in places where a run wants to read or write."""

import os
from collections.abc import Callable
from pathlib import Path


def folder(path: Path) -> None:
    path.mkdir(parents=True)


def full_folder(path: Path) -> None:
    folder(path)
    (path / "inside").touch()


def file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("not a folder")


def pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def dangling(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path.parent / "nowhere" / "at all")


def loop(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path.name)


def device(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/dev/zero")


def holding(content: bytes) -> Callable[[Path], None]:
    """A file of this content."""

    def place(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return place
