"""Cheap datasets and runs of the real command."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

CHEAP = (
    "--sloppy", "--fusion-model", "average", "--output-spaces", "T1w", "--skip-bids-validation",
    "--nprocs", "2",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """What the command left behind: its exit code, what it said, and the folders it wrote to."""

    code: int
    stdout: str
    stderr: str
    output_dir: Path
    work_dir: Path

    def lines_about(self, label: str) -> list[str]:
        """Lines of stderr about a subject, without those that tell progress."""
        begins = (f"sub-{label}: ", f"sub-{label} ")
        return [line for line in self.stderr.splitlines() if line.startswith(begins)]

    def image(self, label: str, rest: str) -> Path:
        """A PET derivative in T1w space."""
        stem = f"sub-{label}_trc-18FFDG_space-T1w_desc-{rest}_pet.nii.gz"
        return self.output_dir / f"sub-{label}" / "pet" / stem


def command(
    bids_dir: Path, output_dir: Path, level: str, work_dir: Path | None, options: Sequence[str]
) -> list[str]:
    """The command line of a run of the cheapest kind."""
    where = [] if work_dir is None else ["-w", str(work_dir)]
    start = [sys.executable, "-m", "bids_app.run", str(bids_dir), str(output_dir), level]
    return [*start, *where, *CHEAP, *options]


def run_app(
    bids_dir: Path,
    output_dir: Path,
    *options: str,
    level: str = "participant",
    work_dir: Path | None = None,
) -> Run:
    """Run the command as a user does, in a process of its own."""
    work_dir = work_dir or output_dir.parent / f"{output_dir.name}-work"
    done = subprocess.run(
        command(bids_dir, output_dir, level, work_dir, options),
        capture_output=True,
        text=True,
        check=False,
        cwd=output_dir.parent if output_dir.parent.is_dir() else None,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return Run(done.returncode, done.stdout, done.stderr, output_dir, work_dir)


def add_copy(bids_dir: Path, label: str) -> dict[str, Path]:
    """Copy the T1w and the PET of ``sub-01`` as another subject; the copy's ``t1w`` and ``pet``."""
    folder = bids_dir / f"sub-{label}"
    for source in sorted((bids_dir / "sub-01").glob("*/*")):
        if source.parent.name in ("anat", "pet") and "FLAIR" not in source.name:
            target = folder / source.parent.name / source.name.replace("sub-01", folder.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    return {
        "t1w": folder / "anat" / f"{folder.name}_T1w.nii.gz",
        "pet": folder / "pet" / f"{folder.name}_trc-18FFDG_pet.nii.gz",
    }


def sidecar_of(image: Path) -> Path:
    return image.with_name(image.name.split(".")[0] + ".json")


def sidecar(image: Path) -> dict[str, Any]:
    """What the sidecar of an image says."""
    return json.loads(sidecar_of(image).read_text("utf-8"))


def edit_sidecar(image: Path, **fields: object) -> None:
    """Replace fields of an image's sidecar."""
    sidecar_of(image).write_text(json.dumps(sidecar(image) | fields), "utf-8")


def replace_voxels(image: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write an image again with other voxels."""
    loaded = nib.load(image)
    voxels = change(loaded.get_fdata(dtype=np.float32))
    nib.save(nib.Nifti1Image(voxels, loaded.affine), image)


def zero_affine(image: Path) -> None:
    """Set the rows of the sform to 0, as broken converters do; its code stays 1."""
    content = bytearray(gzip.decompress(image.read_bytes()))
    header = nib.Nifti1Header(bytes(content[:348]), check=False)
    for row in ("srow_x", "srow_y", "srow_z"):
        header[row] = 0
    header["qform_code"] = 0
    content[:348] = header.binaryblock
    image.write_bytes(gzip.compress(bytes(content), 1))


def corrupt(image: Path, start: int, length: int) -> None:
    """Overwrite some of the bytes on disk."""
    content = bytearray(image.read_bytes())
    content[start : start + length] = bytes(range(256)) * (length // 256) + bytes(length % 256)
    image.write_bytes(content)


def resize(disk: Path, size: str) -> None:
    """Give a mounted file system another size, e.g. ``100m`` or ``ro`` for none to write to."""
    option = "ro" if size == "ro" else f"size={size}"
    subprocess.run(["mount", "-o", f"remount,{option}", str(disk)], check=True)


def files_of(out: Path) -> list[str]:
    """Everything written but the logs of single runs."""
    return sorted(
        str(path.relative_to(out))
        for path in out.rglob("*")
        if path.is_file() and path.parent.parent != out / "logs"
    )


def unfinished(folder: Path) -> list[Path]:
    """Files of a temporary name, which only a run that was cut off may leave."""
    return [path for path in folder.rglob("*") if path.name.startswith(".writing-")]


def check_readable(folder: Path) -> int:
    """Read every image and sidecar to the end; their number."""
    images = sorted(folder.rglob("*.nii.gz"))
    for image in images:
        gzip.decompress(image.read_bytes())
        np.asarray(nib.load(image).dataobj)
        json.loads(sidecar_of(image).read_text("utf-8"))
    for sidecar in folder.rglob("*.json"):
        json.loads(sidecar.read_text("utf-8"))
    return len(images)
