"""How FreeSurfer lays out a folder of subjects, and what its labels stand for."""

from pathlib import Path, PurePath

REGIONS = PurePath("mri", "aparc+aseg.mgz")
STRUCTURES = PurePath("mri", "aseg.mgz")
BRAIN = PurePath("mri", "brainmask.mgz")
ACQUIRED = PurePath("mri", "orig.mgz")
"""Files below the folder of a subject: labels with and without the cortex's regions, the brain, and
the T1w that both are of. All are on the same conformed grid, whose header places it in the space of
the T1w as acquired."""

STAMP = PurePath("scripts", "build-stamp.txt")
"""Names the version, e.g. ``freesurfer-linux-centos7_x86_64-7.3.2-20220804-6354275``."""

ERASED = 1
"""Value of :data:`BRAIN` where somebody took away what is not brain."""

FIRST_CORTICAL = 1000
"""Labels from here on are of the cerebral cortex."""

CEREBELLAR_CORTEX, CEREBELLAR_WHITE = (8, 47), (7, 46)
CALLOSUM = tuple(range(251, 256))
GRAY_LABELS = (
    *(3, 42, *CEREBELLAR_CORTEX),
    *(9, 10, 11, 12, 13, 17, 18, 19, 20, 26, 27),
    *(48, 49, 50, 51, 52, 53, 54, 55, 56, 58, 59),
    *(80, 81, 82),
)
"""Gray matter of the cortex and nuclei; the cortex's own regions are above
:data:`FIRST_CORTICAL`."""

WHITE_LABELS = (2, 41, *CEREBELLAR_WHITE, 16, 28, 60, 77, 78, 79, 85, 192, 250, *CALLOSUM)
"""White matter, with brain stem, ventral diencephalon and optic chiasm, as *sMRIPrep* counts
them."""

FLUID_LABELS = (4, 5, 14, 15, 24, 30, 31, 43, 44, 62, 63, 72)
"""Ventricles, CSF, and the vessels and plexus in them."""


def pattern(subjects_dir: Path, file: PurePath) -> str:
    """Path of a file of each subject, ``{subject}`` and ``{session}`` in it standing for labels."""
    return f"{subjects_dir}/sub-{{subject}}_ses-{{session}}/{file}"
