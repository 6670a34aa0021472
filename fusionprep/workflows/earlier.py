"""What other software made of a T1w before, in the place of steps of ours."""

from typing import Any

from nipype.pipeline import engine as pe

from fusionprep.bids.earlier import EarlierFiles, EarlierWork
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.interfaces.earlier import TakeOver
from fusionprep.workflows.nodes import Port, node

BRAIN = """
The brain mask that {software} had made of the T1w took the place of the extraction.
"""
TISSUES = """
The fractions of tissues that {software} had found took the place of our own.
"""
CHECKED = """
This was done only where it agreed with the T1w: by the overlap with a rough mask of our own, by the
correlation with the T1w that it had been made of, and by the order of intensities; the sidecar of
each image names its source.
"""
TRANSFORM = """
The transform between the T1w and {template} that {software} had found took the place of this
registration, unless it lay on another grid than the template, was not the inverse of that back, or
failed the checks of our own registration; the sidecar of the T1w there names its source.
"""
RIGID = """
The transform of the {modality} to the T1w that {software} had found took the place of this search,
unless the images fitted better more than 3 mm away; the sidecar names its source.
"""


def describe_earlier(earlier: EarlierWork) -> str:
    """What the methods text says of a T1w's brain mask and tissues from elsewhere."""
    taken = [
        text.format(software=files.software)
        for files, text in ((earlier.brain, BRAIN), (earlier.tissues, TISSUES))
        if files is not None
    ]
    return "".join(text.lstrip() for text in (*taken, CHECKED)) if taken else ""


def describe_transform(files: EarlierFiles | None, template: str) -> str:
    """What the methods text says of a transform to a template from elsewhere."""
    if files is None:
        return ""
    return TRANSFORM.format(template=template, software=files.software).lstrip()


def earlier_inputs(files: EarlierFiles | None) -> dict[str, Any]:
    """Inputs of a registration: files of a transform found before, and where it is from."""
    if files is None:
        return {}
    paths = {f"earlier_{key}": str(path) for key, path in files.files.items()}
    return {**paths, "earlier_from": files.to_dict()}


def add_earlier(
    workflow: pe.Workflow,
    config: Config,
    t1w: ImageFile,
    earlier: EarlierWork,
    steps: tuple[pe.Node, pe.Node, pe.Node],
) -> list[Port]:
    """Add the step that checks what was made before, where anything was.

    Whether it is of the T1w shows in the images alone: the steps stay, and make what is refused.

    Parameters
    ----------
    steps
        Those that conform the T1w, extract the brain and segment it.

    Returns
    -------
    list of Port
        Sidecar fields of the T1w about what was refused.
    """
    brain, tissues = earlier.brain, earlier.tissues
    if brain is None and tissues is None:
        return []
    inputs: dict[str, Any] = {}
    if brain is not None:
        keys = {"mask": "mask", "labels": "mask_labels", "t1w": "mask_t1w"}
        inputs |= {keys[key]: str(path) for key, path in brain.files.items()}
        inputs |= {"mask_from": brain.to_dict(), "mask_freesurfer": brain.from_freesurfer}
    if tissues is not None:
        keys = {"t1w": "tissues_t1w"}
        inputs |= {keys.get(key, key): str(path) for key, path in tissues.files.items()}
        inputs |= {"tissues_from": tissues.to_dict(), "tissues_freesurfer": tissues.from_freesurfer}
    take = node(TakeOver(**inputs), "take_over", config, on=[t1w])
    conform, extract, segment = steps
    workflow.connect([
        (conform, take, [("out_file", "t1w")]),
        (take, extract, [("out_mask", "earlier"), ("brain_from", "earlier_from")]),
        (take, segment, [
            ("fractions", "earlier"), ("tissues_from", "earlier_from"),
            ("rest_is_fluid", "rest_is_fluid"),
        ]),
    ])  # fmt: skip
    return [(take, "metadata"), (segment, "notes")]
