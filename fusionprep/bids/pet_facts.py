"""What a dataset says about a PET image, resolved once for everything that needs it."""

from pathlib import Path

from fusionprep.bids.contents import lacks_attenuation_correction
from fusionprep.bids.metadata import (
    frame_timing,
    radionuclide,
    tracer_label,
    tracer_name,
    units_factor,
)
from fusionprep.bids.suv import body_weight, suv_inputs
from fusionprep.bids.types import ImageFile, PETFacts


def pet_facts(image: ImageFile, bids_dir: Path) -> PETFacts:
    """Decide tracer, frame times, units and SUV of a PET image.

    Parameters
    ----------
    image
        With its header and metadata read.
    bids_dir
        Root of the dataset, whose ``participants.tsv`` may give the body weight.

    Raises
    ------
    DataError
        When the frame times cannot be those of the image.
    """
    timing = frame_timing(image.metadata, image.n_frames, image.path)
    units, factor = units_factor(image.metadata)
    weight = body_weight(bids_dir, image.subject, image.metadata)
    suv, reason = suv_inputs(image.metadata, weight, timing, image.n_frames)
    no_suvr = ""
    doubts: tuple[str, ...] = ()
    if told := lacks_attenuation_correction(image):
        suv, reason = None, f"the image is not corrected for attenuation ({told})"
        no_suvr, doubts = reason, (f"{reason}: uptake is too low, most in the middle of the head",)
    return PETFacts(
        tracer=tracer_label(image),
        tracer_name=tracer_name(image),
        radionuclide=radionuclide(image),
        timing=timing,
        units=units,
        factor=factor,
        suv=suv,
        no_suv=reason,
        no_suvr=no_suvr,
        doubts=doubts,
    )
