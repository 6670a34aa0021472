"""``fusionprep bids``: each source of images is a module with an ``add``, as commands are."""

from fusionprep.commands.bids import brainweb, dicom, harvard, nyu, pair
from fusionprep.commands.shared import Commands

SOURCES = (pair, dicom, harvard, brainweb, nyu)
"""In the order of ``fusionprep bids --help``."""


def add(commands: Commands) -> None:
    bids = commands.add_parser(
        "bids",
        help="make a BIDS dataset of images of another kind",
        description="Make a BIDS dataset that fusionapp reads, or add subjects to one. What is read"
        " is never changed.",
    )
    sources = bids.add_subparsers(required=True, metavar="SOURCE")
    for source in SOURCES:
        source.add(sources)
