"""The reference regions of SUVR. Imports nothing of ours, since options are read with it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ReferenceRegion:
    """A region whose mean uptake is 1 in a SUVR image.

    Attributes
    ----------
    name
        What users type.
    label
        Of the mask's file, ``label-``.
    description
        For the methods text and the mask's sidecar.
    tissue
        Which output of the T1w it is, above 0.5: ``mask``, ``gm`` or ``wm``; None for a region of
        the atlas in the packaged template.
    gray_matter
        Whether a region of the atlas is confined to the subject's gray matter.
    """

    name: str
    label: str
    description: str
    tissue: str | None = None
    gray_matter: bool = False

    @property
    def of_atlas(self) -> bool:
        """Whether it is brought from the atlas in the packaged template."""
        return self.tissue is None


REFERENCE_REGIONS = (
    ReferenceRegion("whole-brain", "WholeBrain", "the whole brain", "mask"),
    ReferenceRegion("gm", "GM", "gray matter (fraction above 0.5)", "gm"),
    ReferenceRegion("wm", "WM", "white matter (fraction above 0.5)", "wm"),
    ReferenceRegion(
        "cerebellar-gm",
        "CerebellarGM",
        "the cerebellar cortex more than 4 mm from the cerebrum, where the subject's fraction of"
        " gray matter is above 0.5",
        gray_matter=True,
    ),
    ReferenceRegion(
        "inferior-cerebellar-gm",
        "InferiorCerebellarGM",
        "the cerebellar cortex more than 4 mm from the cerebrum and below z = -40 mm of the"
        " template, where the subject's probability of gray matter is above 0.5",
        gray_matter=True,
    ),
    ReferenceRegion("cerebellum", "Cerebellum", "the cerebellum without its outer 2 mm"),
    ReferenceRegion("pons", "Pons", "the pons without its outer 2 mm"),
)

WHOLE_BRAIN = REFERENCE_REGIONS[0]
"""Of tracers for which no region is usual: it needs no atlas and is in any field of view."""

AUTO_REGION = "auto"
"""Asks for the region that is usual for the tracer."""

NO_REGION = "none"
"""Asks for no SUVR."""

OWN_LABEL = "Custom"
"""``label-`` of a region from a user's own mask."""


def find_region(name: str) -> ReferenceRegion | None:
    """The region of that name; None for a file, no region at all, and one for each tracer."""
    return next((region for region in REFERENCE_REGIONS if region.name == name), None)


def region_names() -> tuple[str, ...]:
    """What can be asked for besides a file."""
    return (AUTO_REGION, *(region.name for region in REFERENCE_REGIONS), NO_REGION)
