"""What can be asked of a simulated cohort. Imports nothing, since options are read with it."""

CLASSES = ("CN", "AD")
"""Healthy controls and patients."""

THREE_CLASSES = ("CN", "MCI", "AD")
"""With people half as far from health as patients are."""

STRONGEST = 3.0
"""Largest difference of mean severity, in standard deviations; beyond it, patients have no gray
matter left to lose."""

MOST_SUBJECTS = 5000

VOXELS = (2, 8)
"""Smallest and largest voxel size, mm."""
