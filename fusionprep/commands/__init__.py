"""The commands of ``fusionprep``. Each module has an ``add``: what the command takes and runs."""

from fusionprep.commands import (
    benchmark,
    bids,
    classify,
    export_onnx,
    fuse,
    join_vgg19,
    metrics,
    models,
    reader_study,
    register,
    simulate_cohort,
    train,
)

COMMANDS = (
    models,
    fuse,
    register,
    metrics,
    train,
    benchmark,
    bids,
    simulate_cohort,
    classify,
    reader_study,
    export_onnx,
    join_vgg19,
)
"""In the order of ``fusionprep --help``."""
