"""The table of regions of a simulated subject, with the columns of the App's."""

import numpy as np

from fusionprep.bids.region_tables import COLUMNS, region_row
from fusionprep.cohort.anatomy import Anatomy
from fusionprep.cohort.people import Images
from fusionprep.image.partial_volume.regional import CSF, GM, PARENCHYMA, WM
from fusionprep.image.region_values import region_values

OWN_WORDS = {
    "index": "Label of the region in the atlas",
    "volume-mm3": "Volume of the tissue of the region, in template space: of the gray matter of the"
    " cortex, of gray and white matter of nuclei",
    "voxels": "Voxels of the region in template space",
    "mean": "Mean of the SUVR image",
    "sd": "Standard deviation of the SUVR image over the voxels of the region",
}
"""What is not as in the App's tables, whose regions are in the space of the T1w."""


def region_rows(anatomy: Anatomy, images: Images) -> list[dict[str, str]]:
    """A row for each region of the atlas."""
    volumes = tissue_volumes(anatomy, images)
    values = region_values(images.suvr, anatomy.labels, indices=list(anatomy.names))
    return [
        region_row(value, anatomy.names[value.index], volumes[value.index], suvr_factor=1.0)
        for value in values
    ]


def tissue_volumes(anatomy: Anatomy, images: Images) -> dict[int, float]:
    """The volume of the tissue in each region, mm³."""
    gm, wm, csf = images.fractions
    labels = anatomy.labels.ravel()
    sums = {
        tissue: np.bincount(labels, share.ravel()) * anatomy.voxel_size**3
        for tissue, share in ((GM, gm), (WM, wm), (CSF, csf), (PARENCHYMA, gm + wm))
    }
    return {index: float(sums[anatomy.tissues[index]][index]) for index in anatomy.names}


def region_columns() -> dict[str, dict[str, str]]:
    """What the columns hold, for the sidecar."""
    columns = {name: dict(told) for name, told in COLUMNS.items()}
    for name, text in OWN_WORDS.items():
        columns[name]["Description"] = text
    for name in ("mean", "sd"):
        columns[name]["Units"] = "arbitrary"
    return columns
