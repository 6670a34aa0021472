"""The commands of ``fusionprep``. Each module has an ``add``: what the command takes and runs."""

from fusionprep.commands import (
    benchmark,
    export_onnx,
    fuse,
    join_vgg19,
    metrics,
    models,
    register,
    train,
)

COMMANDS = (models, fuse, register, metrics, train, benchmark, export_onnx, join_vgg19)
"""In the order of ``fusionprep --help``."""
