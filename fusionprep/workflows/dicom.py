"""Fused images as DICOM, beside their NIfTI files."""

from nipype.interfaces.base import Undefined
from nipype.pipeline import engine as pe

from fusionprep.bids import names
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config
from fusionprep.interfaces.dicom import WriteDicom
from fusionprep.workflows.nodes import Port, node


def add_dicom(
    workflow: pe.Workflow,
    config: Config,
    t1w: ImageFile,
    fused: Port,
    derivative: str,
    told: tuple[str, str],
) -> None:
    """Write a fused image in T1w space as DICOM, where a reference was named.

    Parameters
    ----------
    t1w
        Whose series is the reference.
    fused
        What hands over the fused image, and ...
    derivative
        ... its path below the output root.
    told
        What it shows, and how it was made.
    """
    template = config.fusion.dicom_reference
    if template is None:
        return
    source, field = fused
    what, details = told
    interface = WriteDicom(
        t1w=str(t1w.path),
        template=template,
        subject=t1w.subject,
        session=t1w.session or Undefined,
        output_dir=str(config.output_dir),
        out_path=names.dicom_folder(derivative),
        what=what,
        details=details,
    )
    colour = "_colour" * (field == "out_colour")
    name = f"dicom_{source.name.removeprefix('fuse_')}{colour}"
    write = node(interface, name, config, on=[t1w])
    workflow.connect(source, field, write, "in_file")
