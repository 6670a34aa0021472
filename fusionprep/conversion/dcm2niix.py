"""The program dcm2niix, which makes an image of the files of a DICOM series."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fusionprep.conversion.extra import needed
from fusionprep.conversion.sources import Source, read_source
from fusionprep.errors import DataError

_NAME = "image"
# what it calls a CT whose gantry was tilted or whose slices were unevenly spaced, once resampled
_RESAMPLED = ("_Eq", "_Tilt")


def convert_files(files: Sequence[Path], what: str) -> Source:
    """The image of some DICOM files, and the sidecar that dcm2niix writes for it.

    Parameters
    ----------
    files
        Of one series; they are linked into a folder for the time being.
    what
        Named in errors.

    Raises
    ------
    DataError
        When dcm2niix is not installed, fails, or makes several images.
    """
    program = needed("dcm2niix").bin
    with tempfile.TemporaryDirectory(prefix="fusionprep-") as folder:
        read, written = Path(folder) / "in", Path(folder) / "out"
        read.mkdir()
        written.mkdir()
        for number, path in enumerate(files):
            (read / f"{number:06d}.dcm").symlink_to(path.resolve())
        # -g i: whatever a file of options in the user's home says
        options = ["-g", "i", "-b", "y", "-ba", "y", "-z", "n", "-f", _NAME, "-o", str(written)]
        done = subprocess.run(
            [program, *options, str(read)], capture_output=True, text=True, check=False
        )
        images = sorted(written.glob("*.nii"))
        if not images:
            said = next((line for line in done.stdout.splitlines() if "rror" in line), "")
            raise DataError(
                f"dcm2niix makes no image of {what} (exit code {done.returncode}) {said}"
            )
        return read_source(_only(images, what))


def _only(images: Sequence[Path], what: str) -> Path:
    if len(images) == 1:
        return images[0]
    for ending in _RESAMPLED:
        resampled = [path for path in images if path.stem.endswith(ending)]
        if len(resampled) == 1:
            return resampled[0]
    names = ", ".join(path.stem.removeprefix(_NAME) or "(plain)" for path in images)
    raise DataError(
        f"dcm2niix makes {len(images)} images of {what} ({names}): the series holds several;"
        " leave it out, or give it as files of its own"
    )
