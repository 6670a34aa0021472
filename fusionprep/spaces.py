"""Output spaces: the T1w's own, and templates at a resolution. Imports nothing heavy."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fusionprep.errors import UsageError
from fusionprep.given import shown
from fusionprep.modalities import T1W

NATIVE = T1W.label
"""What the T1w's own space is called, which is always written."""

PACKAGED_TEMPLATE = "MNI152NLin2009aSym"


@dataclass(frozen=True)
class TemplateSpace:
    """A template and the resolution asked for, e.g. ``MNI152NLin2009aSym:res-2``."""

    name: str
    resolution: str = "1"

    @classmethod
    def parse(cls, text: str) -> "TemplateSpace":
        """Read ``NAME[:res-R]``.

        Raises
        ------
        UsageError
            When the text has another form.
        """
        match = re.fullmatch(r"([A-Za-z0-9]+)(?::res-0*([1-9][0-9]{0,2}))?", text)
        if match is None:
            raise UsageError(f"output space {shown(text)} is not of the form NAME or NAME:res-R")
        return cls(match[1], match[2] or "1")

    def __str__(self) -> str:
        return f"{self.name}:res-{self.resolution}"

    @property
    def uri(self) -> str:
        """Where the template is from, for the SpatialReference of derivatives."""
        if self.name == PACKAGED_TEMPLATE:
            return "https://www.bic.mni.mcgill.ca/ServicesAtlases/ICBM152NLin2009"
        stem = f"tpl-{self.name}_res-{int(self.resolution):02d}"
        return f"https://templateflow.s3.amazonaws.com/tpl-{self.name}/{stem}_T1w.nii.gz"


def template_spaces(output_spaces: Iterable[str]) -> list[TemplateSpace]:
    """The templates among output spaces, in order.

    Raises
    ------
    UsageError
        When a space has another form than ``T1w``, ``NAME`` or ``NAME:res-R``.

    Examples
    --------
    >>> [str(space) for space in template_spaces(["T1w", "MNI152NLin2009aSym"])]
    ['MNI152NLin2009aSym:res-1']
    """
    return [TemplateSpace.parse(text) for text in output_spaces if text != NATIVE]


def templateflow_home() -> Path:
    """The folder of TemplateFlow's files: ``$TEMPLATEFLOW_HOME`` or its usual place."""
    return Path(os.environ.get("TEMPLATEFLOW_HOME") or Path.home() / ".cache" / "templateflow")
