"""Options of what is measured in regions."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fusionprep.atlases import AUTO, NO_ATLAS, PACKAGED, Atlas, find_atlases, is_file
from fusionprep.config_checks import Checked
from fusionprep.errors import UsageError
from fusionprep.spaces import TemplateSpace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regions(Checked):
    """Atlases in whose regions PET is measured.

    Attributes
    ----------
    atlas
        ``auto``, ``none``, ``dk``, names of TemplateFlow's atlases, and files.
    atlas_labels
        Tables of the files among them, in their order.
    fs_subjects_dir
        FreeSurfer's folder of subjects.
    """

    atlas: tuple[str, ...] = (AUTO,)
    atlas_labels: tuple[str, ...] = ()
    fs_subjects_dir: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.atlas or len(set(self.atlas)) < len(self.atlas):
            raise UsageError(f"--atlas must name one or more, each once: {', '.join(self.atlas)}")
        if NO_ATLAS in self.atlas and len(self.atlas) > 1:
            raise UsageError(f"--atlas {NO_ATLAS} goes with no other atlas")
        if {AUTO, PACKAGED} <= set(self.atlas):
            raise UsageError(f"--atlas {AUTO} is {PACKAGED}: leave one out")
        if self.atlas_labels and not any(map(is_file, self.atlas)):
            raise UsageError("--atlas-labels goes with a file of --atlas; leave it out")

    def find(self, templates: Sequence[TemplateSpace]) -> tuple[Atlas, ...]:
        """The atlases on this machine that can be brought to the T1w.

        Raises
        ------
        UsageError
            As :func:`~fusionprep.atlases.find_atlases`.
        """
        return find_atlases(self.atlas, self.atlas_labels, self.fs_subjects_dir, templates)
