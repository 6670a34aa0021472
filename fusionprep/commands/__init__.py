"""The commands of ``fusionprep``. Each module has an ``add``: what the command takes and runs."""

from fusionprep.commands import benchmark, bids, export_onnx, fuse, join_vgg19, models, train

COMMANDS = (models, fuse, bids, train, benchmark, export_onnx, join_vgg19)
"""In the order of ``fusionprep --help``."""
