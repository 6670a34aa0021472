"""Quality of T1w, PET and CT images by the tissues of the T1w."""

import nibabel as nib
import numpy as np

from fusionprep.image.masks import box_corners, ends_of, tight_box
from fusionprep.image.segmentation import GRAY, WHITE

ENOUGH_VOXELS = 500
"""A tissue keeps its outermost voxels where fewer than this are left without them."""

FEWEST_VOXELS = 30
"""No figure is given for a tissue of fewer voxels."""

COVERED = 0.5
"""No figure is given for a tissue of which less than this share lies in the field of view."""

RESOLUTION_MM = 8.0
"""Full width at half maximum that keeps white matter clear of the uptake beside it."""

WHITE_CORE = 0.9
"""Share of white matter, at that resolution, above which a voxel belongs to its core."""

TREND_MM = 20.0
"""Full width at half maximum of the local mean, which does not count as noise: well above the 4 to
7 mm over which scanners and filters correlate noise."""

BONE_HU = 300.0
AIR_HU = -1000.0

SMOOTHED_SIGMAS = 3.0
"""How far Gaussian windows reach."""

FEWEST_NOISE_VOXELS = 150
FEWEST_AIR_VOXELS = 1000
_FWHM_PER_SIGMA = 2.3548


def t1w_quality(
    corrected: np.ndarray, acquired: np.ndarray, dseg: np.ndarray, affine: np.ndarray
) -> dict[str, float | None]:
    r"""Contrast to noise, joint variation and signal to noise of a T1w, as MRIQC defines them.

    * ``CNR``: \|median WM - median GM\| / sqrt(SD_air² + SD_GM² + SD_WM²)
      (Magnotta & Friedman, J Digit Imaging 2006;19:140-147); higher is better. Where the air holds
      no noise, as in defaced or skull-stripped images, its SD is taken as 0.
    * ``CJV``: (MAD_WM + MAD_GM) / \|median WM - median GM\|, MAD scaled to the SD of a Gaussian
      (Ganzetti et al., Front Neuroinform 2016;10:10); lower is better.
    * ``SNRWM``: median WM / (SD_WM sqrt(n / (n - 1))) (Dietrich et al., JMRI 2007;26:375-385, the
      estimate from one region); higher is better.

    Formulas are those of MRIQC (Esteban et al., PLoS ONE 2017;12:e0184661); the segmentation is
    ours, so figures are close to MRIQC's but not the same.

    Parameters
    ----------
    corrected
        (X, Y, Z) T1w corrected for intensity non-uniformity.
    acquired
        (X, Y, Z) T1w before that correction, with the same mean in the brain: the correction
        extrapolates into the air, where the noise is measured.
    dseg
        (X, Y, Z) labels: 1 gray, 2 white matter.
    affine
        (4, 4) voxels to millimetres.

    Returns
    -------
    dict
        None where a tissue has too few voxels or does not vary.
    """
    box = tight_box(dseg > 0)
    labels, brain = (np.ascontiguousarray(image[box]) for image in (dseg, corrected))
    white, gray = (brain[tissue_core(labels == label)] for label in (WHITE, GRAY))
    if min(white.size, gray.size) < FEWEST_VOXELS:
        return dict.fromkeys(("CNR", "CJV", "SNRWM"))
    contrast = abs(np.median(white) - np.median(gray))
    noise = np.sqrt(white.var() + gray.var() + air_deviation(acquired, affine) ** 2)
    return {
        "CNR": _ratio(contrast, noise),
        "CJV": _ratio(_mad(white) + _mad(gray), contrast),
        "SNRWM": _ratio(np.median(white), white.std() * np.sqrt(white.size / (white.size - 1))),
    }


def air_deviation(acquired: np.ndarray, affine: np.ndarray) -> float:
    """Standard deviation of a T1w in the air around the head.

    Exact zeros are not measured: defacing, skull-stripping or resampling leaves them.

    Parameters
    ----------
    acquired
        (X, Y, Z) T1w with the head.
    affine
        (4, 4) voxels to millimetres.

    Returns
    -------
    float
        0 where hardly any air holds noise.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu

    from fusionprep.image.masks import largest_component

    # a sample every 2 mm shows as much
    steps = [max(1, round(2 / size)) for size in nib.affines.voxel_sizes(affine)]
    sample = acquired[:: steps[0], :: steps[1], :: steps[2]].astype(np.float32)
    smooth = ndimage.gaussian_filter(sample, 1)
    if smooth.min() == smooth.max():
        return 0.0
    head = largest_component(smooth > threshold_otsu(smooth))
    head = ndimage.binary_fill_holes(ndimage.binary_dilation(head, iterations=5))
    air = sample[~head & (sample != 0)]
    return float(air.std()) if air.size >= FEWEST_AIR_VOXELS else 0.0


def pet_quality(pet: np.ndarray, dseg: np.ndarray) -> dict[str, float | None]:
    """Mean uptake in gray and white matter, and how far apart the two are.

    Both are means over the tissue without its outermost voxels, uncorrected for the scanner's
    resolution, which brings them closer together.

    Parameters
    ----------
    pet
        (X, Y, Z) on the grid of the T1w, 0 outside its field of view.
    dseg
        (X, Y, Z) labels: 1 gray, 2 white matter.

    Returns
    -------
    dict
        ``GMMean`` and ``WMMean`` in the image's units, ``GMWMRatio`` = GM / WM and ``GMWMContrast``
        = (GM - WM) / (GM + WM); None where less than half of a tissue was scanned or a mean is not
        above 0.
    """
    box = tight_box(dseg > 0)
    labels, uptake = (np.ascontiguousarray(image[box]) for image in (dseg, pet))
    gray, white = (_covered_mean(uptake, tissue_core(labels == label)) for label in (GRAY, WHITE))
    quality = {"GMMean": _number(gray), "WMMean": _number(white)}
    comparable = min(gray, white) > 0  # also False where either is NaN
    return {
        **quality,
        "GMWMRatio": _ratio(gray, white) if comparable else None,
        "GMWMContrast": _ratio(gray - white, gray + white) if comparable else None,
    }


def pet_noise(
    pet: np.ndarray,
    affine: np.ndarray,
    dseg: np.ndarray,
    dseg_affine: np.ndarray,
    t1w_from_pet: np.ndarray,
) -> float | None:
    """Noise of a PET image: coefficient of variation in the core of the white matter.

    The coefficient of variation of a uniform region is the usual measure of image noise (EANM
    guidelines: Boellaard et al., Eur J Nucl Med Mol Imaging 2015;42:328-354), and the core of the
    white matter is the largest region of a brain that is nearly uniform with any tracer. It is not
    quite uniform: the local mean (20 mm) and the spill-over from gray matter, found by regression
    on its share at PET resolution, are removed, and the median absolute deviation ignores nuclei
    mistaken for white matter. Removing the local mean also removes 2 to 10 percent of noise that is
    correlated over 3 to 6 mm. The anatomy that remains gives a few percent even for an image
    without noise. Estimates from differences between neighbours, common for photographs, would be
    wrong, because reconstruction and filters correlate the noise of neighbours. The voxels are the
    scanner's own, since resampling smooths.

    Parameters
    ----------
    pet
        (X, Y, Z) static image on its own grid, 0 where there is no measurement.
    affine
        (4, 4) of the PET, voxels to millimetres.
    dseg, dseg_affine
        (X, Y, Z) labels on the grid of the T1w, and its affine.
    t1w_from_pet
        (4, 4) world coordinates of the PET to those of the T1w.

    Returns
    -------
    float or None
        Deviation over mean; None where too little white matter was scanned or its mean is
        not above 0.
    """
    from scipy import ndimage

    if not (dseg == WHITE).any():
        return None
    sigma = RESOLUTION_MM / _FWHM_PER_SIGMA / nib.affines.voxel_sizes(dseg_affine)
    box = _box_of(dseg > 0, np.linalg.inv(affine) @ np.linalg.inv(t1w_from_pet) @ dseg_affine, pet)
    corner = np.eye(4)
    corner[:3, 3] = [side.start for side in box]
    # beyond it there is no tissue however it is smoothed
    head = tight_box(dseg > 0, int(np.ceil(SMOOTHED_SIGMAS * sigma.max())) + 2)
    to_dseg = np.linalg.inv(dseg_affine) @ t1w_from_pet @ affine @ corner
    to_dseg[:3, 3] -= [side.start for side in head]
    cropped = pet[box]
    gray, white = (
        ndimage.affine_transform(
            ndimage.gaussian_filter(
                (dseg[head] == label).astype(np.float32), sigma, truncate=SMOOTHED_SIGMAS
            ),
            to_dseg[:3, :3],
            to_dseg[:3, 3],
            output_shape=cropped.shape,
            order=1,
        )
        for label in (GRAY, WHITE)
    )
    in_core = white > WHITE_CORE
    core = in_core & (cropped != 0) & np.isfinite(cropped)
    values = cropped[core].astype(np.float64)
    if values.size < max(FEWEST_NOISE_VOXELS, COVERED * in_core.sum()) or values.mean() <= 0:
        return None
    trend = TREND_MM / _FWHM_PER_SIGMA / nib.affines.voxel_sizes(affine)
    varying, spilt = (_without_local_mean(image, core, trend) for image in (cropped, gray))
    energy = float(spilt @ spilt)
    slope = float(varying @ spilt) / energy if energy > 0 else 0.0
    return _ratio(_mad(varying - slope * spilt), values.mean())


def ct_quality(hounsfield: np.ndarray, mask: np.ndarray, affine: np.ndarray) -> dict:
    """Whether a CT is in Hounsfield units and shows a head: brain is near 35 HU, bone above 300 HU.

    Parameters
    ----------
    hounsfield
        (X, Y, Z) on the grid of the T1w, table removed, -1000 outside its field of view.
    mask
        (X, Y, Z) brain mask.
    affine
        (4, 4) voxels to millimetres.

    Returns
    -------
    dict
        ``BrainMedianHU``, None where less than half of the brain was scanned, and
        ``BoneVolumeMillilitres``, the volume denser than 300 HU (teeth and metal included) in the
        field of view of the T1w.
    """
    from fusionprep.image.masks import voxel_volume_ml

    inside = mask > 0
    scanned = hounsfield[inside & (hounsfield > AIR_HU)]
    enough = scanned.size >= max(FEWEST_VOXELS, COVERED * inside.sum())
    bone = np.count_nonzero(hounsfield > BONE_HU) * voxel_volume_ml(affine)
    return {
        "BrainMedianHU": _number(np.median(scanned)) if enough else None,
        "BoneVolumeMillilitres": _number(bone),
    }


def tissue_core(tissue: np.ndarray) -> np.ndarray:
    """A tissue (X, Y, Z) without its outermost voxels, where enough are left."""
    from scipy import ndimage

    core, box = np.zeros_like(tissue), tight_box(tissue)
    if tissue.any():
        core[box] = ndimage.binary_erosion(tissue[box])
    return core if np.count_nonzero(core) >= ENOUGH_VOXELS else tissue


def _covered_mean(pet: np.ndarray, tissue: np.ndarray) -> float:
    scanned = pet[tissue & (pet != 0) & np.isfinite(pet)]
    enough = scanned.size >= max(FEWEST_VOXELS, COVERED * np.count_nonzero(tissue))
    return float(scanned.mean(dtype=np.float64)) if enough else np.nan


def _without_local_mean(image: np.ndarray, inside: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Values (N,) of a region minus the mean of its voxels around each; sigma in voxels."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(inside.astype(np.float64), sigma, truncate=SMOOTHED_SIGMAS)
    total = ndimage.gaussian_filter(np.where(inside, image, 0.0), sigma, truncate=SMOOTHED_SIGMAS)
    return image[inside] - total[inside] / weight[inside]


def _box_of(inside: np.ndarray, to_voxel: np.ndarray, image: np.ndarray) -> tuple[slice, ...]:
    """The part of an image that holds a mask on another grid; empty where the two do not meet."""
    there = nib.affines.apply_affine(to_voxel, box_corners(*ends_of(tight_box(inside))))
    first = np.clip(np.floor(there.min(axis=0)), 0, image.shape).astype(int)
    last = np.clip(np.ceil(there.max(axis=0)) + 1, first, image.shape).astype(int)
    return tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))


def _mad(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _ratio(above: float, below: float) -> float | None:
    return _number(above / below) if below > 0 else None


def _number(value: float) -> float | None:
    """Rounded to six digits; None for what is not finite."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
