"""Runs of one PET scan, put together before anything else."""

from nipype.pipeline import engine as pe

from fusionprep.bids.runs import raw_uris
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.interfaces.runs import CombineRuns
from fusionprep.workflows.nodes import Port, node

DESCRIPTION = """
{count} runs of one injection were combined: corrected for decay to one time, put on one time axis,
and brought to where the head was in the first, by rigid registration of their means with mutual
information [@mattes] and cubic interpolation, wherever it had moved.
"""


def describe_runs(image: ImageFile) -> str:
    """Sentences for the methods text; empty where there is one run."""
    return DESCRIPTION.format(count=len(image.runs)) if image.runs else ""


def add_series(workflow: pe.Workflow, config: Config, image: ImageFile) -> Port | None:
    """What hands over the frames of a scan of several runs; None where there is one."""
    if not image.runs:
        return None
    uris = raw_uris(image, config.bids_dir)
    interface = CombineRuns(
        in_files=[str(run.path) for run in image.runs],
        factors=[list(run.factors) for run in image.runs],
        starts=[list(run.starts) for run in image.runs],
        durations=[list(run.durations) for run in image.runs],
        sources=uris,
        sloppy=config.processing.sloppy,
    )
    combine = node(interface, "combine_runs", config, on=[image])
    workflow.add_nodes([combine])
    return combine, "out_file"
