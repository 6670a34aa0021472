"""What a process finds around it and must not depend on: encodings, settings, folders."""

import contextlib
import os
import sys

from fusionprep.errors import UsageError


def ensure_utf8() -> None:
    """Start this program again where names of files would be taken for other than UTF-8.

    Most file systems hold UTF-8 whatever the language of the terminal; Python asks the latter.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def set_environment() -> None:
    """Take from libraries what they would do on their own, or be told by other programs."""
    os.environ.update({
        # Nipype and its relatives would otherwise ask a server for newer versions
        "NO_ET": "1", "NIPYPE_NO_ET": "1",
        # nothing is drawn on a screen; a notebook sets this for all programs it starts
        "MPLBACKEND": "agg",
        # settings of other projects would change what this one does
        "NIPYPE_CONFIG_DIR": os.path.join(os.devnull, "nipype"),  # noqa: PTH118
    })  # fmt: skip


def check_folder() -> None:
    """Refuse to start in a folder that is gone, whose name libraries ask for.

    Raises
    ------
    UsageError
        When it is.
    """
    try:
        os.getcwd()  # noqa: PTH109
    except OSError as error:
        raise UsageError(
            f"the current folder cannot be found ({error.strerror}); change to another (cd)"
        ) from error


def import_nipype() -> None:
    """Import Nipype without a ``nipype.cfg`` of the current folder.

    Its settings could change results or be broken, and Nipype stumbles over a percent sign or a
    line break in the name of a folder.
    """
    from configparser import Interpolation

    with contextlib.chdir("/"):
        from nipype import config

    config._config._interpolation = Interpolation()
