"""What interfaces that read the frames of a PET have in common."""

from nipype.interfaces.base import BaseInterfaceInputSpec, File, traits


class FramesSpec(BaseInterfaceInputSpec):
    """What is known of the frames of a PET."""

    starts = traits.List(traits.Float, desc="seconds, where known")
    durations = traits.List(traits.Float, desc="seconds, where known")
    frame_factors = traits.List(traits.Float, desc="corrects each frame for decay")
    factor = traits.Float(1.0, usedefault=True, desc="multiplies intensities into the output units")
    moves = File(exists=True, desc="(frames, 4, 4) reference_from_frame, where the head moved")
