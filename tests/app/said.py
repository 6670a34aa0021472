"""The methods text of a workflow."""

from nipype.pipeline.engine import Workflow

from fusionprep.workflows.methods import methods_text, passages


def methods(built: Workflow) -> str:
    """What a paper could say of it, with citations as pandoc has them."""
    return methods_text(passages(built))
