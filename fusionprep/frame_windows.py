"""The option that says which frames of dynamic PET are averaged."""

import re

from fusionprep.errors import UsageError
from fusionprep.given import shown

AUTO_FRAMES = "auto"
"""Takes the usual window of the tracer."""

ALL_FRAMES = "all"

LATEST_MINUTE = 1440.0
"""After injection: later than any scan in use."""

Minutes = tuple[float, float]
"""Begin and end of a window, minutes after injection."""

_WINDOW = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)-(\d{1,9}(?:\.\d{1,9})?)", re.ASCII)


def parse_frames(text: str) -> Minutes | None:
    """Read the option.

    Parameters
    ----------
    text
        ``auto``, ``all`` or ``START-END`` in minutes after injection.

    Returns
    -------
    tuple of float
        The window; None for ``auto`` and ``all``.

    Raises
    ------
    UsageError
        For anything else.

    Examples
    --------
    >>> parse_frames("50-70"), parse_frames("auto")
    ((50.0, 70.0), None)
    """
    if text in (AUTO_FRAMES, ALL_FRAMES):
        return None
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise UsageError(
            f"--frames {shown(text)} is not {AUTO_FRAMES}, {ALL_FRAMES} or START-END, two numbers"
            " of minutes after injection such as 50-70"
        )
    start, end = float(match[1]), float(match[2])
    if not start < end <= LATEST_MINUTE:
        raise UsageError(
            f"--frames {text} cannot be a window: it must end after it begins, and at most"
            f" {LATEST_MINUTE:g} min after injection"
        )
    return start, end
