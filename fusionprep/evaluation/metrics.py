"""The fusion metrics by name, each with its source and the field's convention."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fusionprep.errors import DataError, UsageError
from fusionprep.evaluation import (
    gradients,
    information,
    perception,
    recoverability,
    statistics,
    structure,
)

SMALLEST_SIDE = 48
"""Pixels; below this side, the coarsest scale of VIF has no window left."""

RANKED = ("MI", "VIF", "VIFmin", "Qabf", "SSIM255", "SCD", "FMI_p", "QCB", "Q_Y")
"""The metrics of the mean rank."""

_Pairwise = Callable[[np.ndarray, np.ndarray], float]
_Triple = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Metric:
    """A fusion metric.

    Attributes
    ----------
    name
        Short name, as in tables.
    function
        (anatomical, functional, fused) -> float, of float64 arrays (H, W), gray levels 0..255.
    title
        What it measures.
    better
        Which direction is better; ``neither`` for figures that must not rank: sharpening alone
        raises them, or noise counts as structure.
    convention
        Sum or mean over the two sources, base of the logarithm, dynamic range.
    source
        Paper and equation.
    """

    name: str
    function: _Triple
    title: str
    better: Literal["higher", "lower", "neither"]
    convention: str
    source: str


def _of_fused(function: Callable[[np.ndarray], float]) -> _Triple:
    return lambda _anatomical, _functional, fused: function(fused)


def _of_functional(function: _Pairwise) -> _Triple:
    return lambda _anatomical, functional, fused: function(functional, fused)


@dataclass(frozen=True)
class _OfBoth:
    """A metric of each source and the fused image, and what is made of the two."""

    of_each: _Pairwise
    combine: Callable[[float, float], float]

    def __call__(self, anatomical: np.ndarray, functional: np.ndarray, fused: np.ndarray) -> float:
        return self.combine(self.of_each(anatomical, fused), self.of_each(functional, fused))


def _sum(function: _Pairwise) -> _OfBoth:
    return _OfBoth(function, lambda first, second: first + second)


def _mean(function: _Pairwise) -> _OfBoth:
    return _OfBoth(function, lambda first, second: 0.5 * (first + second))


def _smaller(function: _Pairwise) -> _OfBoth:
    return _OfBoth(function, min)


_PIELLA = "Piella & Heijmans, ICIP 2003;3:173-176"
_SHEIKH = "Sheikh & Bovik, IEEE TIP 2006;15(2):430-444"

METRICS = (
    Metric(
        "EN",
        _of_fused(information.entropy),
        "entropy",
        "neither",
        "fused image alone; 256 bins; base 2",
        "Shannon, Bell Syst Tech J 1948;27:379-423",
    ),
    Metric(
        "SD",
        _of_fused(statistics.standard_deviation),
        "standard deviation",
        "neither",
        "fused image alone; population; gray levels",
        "common knowledge",
    ),
    Metric(
        "SF",
        _of_fused(statistics.spatial_frequency),
        "spatial frequency",
        "neither",
        "fused image alone; gray levels",
        "Eskicioglu & Fisher, IEEE Trans Commun 1995;43(12):2959-2965",
    ),
    Metric(
        "AG",
        _of_fused(statistics.average_gradient),
        "average gradient",
        "neither",
        "fused image alone; central differences; gray levels per pixel",
        "Cui et al., Opt Commun 2015;341:199-209",
    ),
    Metric(
        "MI",
        _sum(information.mutual_information),
        "mutual information",
        "higher",
        "sum over sources; 256 x 256 bins; natural logarithm",
        "Qu, Zhang & Yan, Electron Lett 2002;38(7):313-315",
    ),
    Metric(
        "QMI",
        _sum(information.normalised_mutual_information),
        "normalised mutual information Q_MI",
        "higher",
        "sum over sources of 2 I / (H + H); images stretched to 0..255",
        "Hossny et al., Electron Lett 2008;44(18):1066-1067",
    ),
    Metric(
        "CC",
        _mean(statistics.correlation),
        "Pearson correlation",
        "higher",
        "mean over sources",
        "common knowledge",
    ),
    Metric(
        "SCD",
        statistics.sum_of_correlations_of_differences,
        "sum of the correlations of differences",
        "higher",
        "r(A, F - B) + r(B, F - A)",
        "Aslantas & Bendes, AEU 2015;69(12):1890-1896",
    ),
    Metric(
        "VIF",
        _sum(perception.visual_information_fidelity),
        "visual information fidelity",
        "higher",
        "sum over sources; pixel domain, 4 scales, noise variance 2; range 255",
        _SHEIKH,
    ),
    Metric(
        "VIFmin",
        _smaller(perception.visual_information_fidelity),
        "visual information fidelity of the source that lost more",
        "higher",
        "minimum over sources; otherwise as VIF",
        _SHEIKH,
    ),
    Metric(
        "Qabf",
        gradients.gradient_preservation,
        "gradient preservation Q^AB/F",
        "higher",
        "mean over sources weighted by gradient magnitude; Sobel",
        "Xydeas & Petrovic, Electron Lett 2000;36(4):308-309",
    ),
    Metric(
        "Nabf",
        gradients.fusion_artefacts,
        "fusion artefacts N^AB/F",
        "lower",
        "mean over sources weighted by gradient magnitude to the power 1.5; Sobel",
        "Kumar, Signal Image Video Process 2013;7(6):1125-1143",
    ),
    Metric(
        "SSIM",
        _sum(structure.ssim_field),
        "structural similarity with the field's data range",
        "neither",
        "sum over sources; data range 2 on levels 0..255 (a mistake many share); 7 x 7 window",
        "Wang et al., IEEE TIP 2004;13(4):600-612, eq 13",
    ),
    Metric(
        "SSIM255",
        _mean(structure.ssim),
        "structural similarity",
        "higher",
        "mean over sources; data range 255; Gaussian window of sigma 1.5",
        "Wang et al., IEEE TIP 2004;13(4):600-612, eq 13",
    ),
    Metric(
        "MS_SSIM",
        _mean(structure.ms_ssim),
        "multi-scale structural similarity",
        "higher",
        "mean over sources; data range 255; 5 scales, fewer below 176 pixels",
        "Wang, Simoncelli & Bovik, Asilomar 2003, eq 7",
    ),
    Metric(
        "PSNR",
        statistics.peak_signal_to_noise_ratio,
        "peak signal-to-noise ratio",
        "higher",
        "mean squared error over both sources; peak is the maximum of the fused image; dB",
        "common knowledge; peak as in the field's evaluators",
    ),
    Metric(
        "MSE",
        _mean(statistics.mean_squared_error),
        "mean squared error",
        "lower",
        "mean over sources; squared gray levels",
        "common knowledge",
    ),
    Metric(
        "FMI_p",
        _mean(information.feature_mutual_information),
        "feature mutual information of pixels",
        "higher",
        "mean over sources of 2 I / (H + H); 3 x 3 windows",
        "Haghighat & Razian, AICT 2014, p 1-3",
    ),
    Metric(
        "QCV",
        perception.chen_varshney,
        "perceived regional error Q_CV",
        "lower",
        "mean over sources weighted by saliency; 16 x 16 blocks; images stretched to 0..255",
        "Chen & Varshney, Inf Fusion 2007;8(2):193-207",
    ),
    Metric(
        "QCB",
        perception.chen_blum,
        "contrast preservation Q_CB",
        "higher",
        "mean over sources weighted by squared contrast; images stretched to 0..255",
        "Chen & Blum, Image Vis Comput 2009;27(10):1421-1432",
    ),
    Metric(
        "Q_S",
        structure.piella,
        "fusion quality index Q_S",
        "higher",
        "mean over sources weighted by variance; SSIM of range 255, Gaussian window of sigma 1.5",
        _PIELLA,
    ),
    Metric(
        "Q_W",
        structure.piella_weighted,
        "weighted fusion quality index Q_W",
        "higher",
        "as Q_S, windows weighted by the larger variance",
        _PIELLA,
    ),
    Metric(
        "Q_E",
        structure.piella_edge,
        "edge-dependent fusion quality index Q_E",
        "higher",
        "Q_W of the images times Q_W of their edge images (alpha 1)",
        _PIELLA,
    ),
    Metric(
        "Q_Y",
        structure.yang,
        "similarity Q_Y",
        "higher",
        "mean over sources by variance where they agree, else the larger; Gaussian 7 x 7 window",
        "Yang et al., Inf Fusion 2008;9(2):156-160",
    ),
    Metric(
        "PETrec",
        _of_functional(recoverability.functional_recoverability),
        "recoverability of the functional image",
        "higher",
        "functional image alone; rank correlation in the brain at 6 pixels FWHM",
        "this project",
    ),
    Metric(
        "MRIrec",
        recoverability.anatomical_recoverability,
        "recoverability of the MRI",
        "higher",
        "anatomical image alone; mean cos 2d of gradient orientations on MRI edges",
        "this project",
    ),
    Metric(
        "MinSource",
        recoverability.source_recoverability,
        "recoverability of the source that lost more",
        "higher",
        "minimum of PETrec and MRIrec",
        "this project",
    ),
)


def metric_names() -> tuple[str, ...]:
    """Names of all fusion metrics."""
    return tuple(metric.name for metric in METRICS)


def get_metric(name: str) -> Metric:
    """The metric of that name.

    Raises
    ------
    UsageError
        When there is none.
    """
    for metric in METRICS:
        if metric.name == name:
            return metric
    raise UsageError(f"unknown fusion metric {name!r}; there are: {', '.join(metric_names())}")


def fusion_metrics(
    anatomical: np.ndarray,
    functional: np.ndarray,
    fused: np.ndarray,
    names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Judge a fused image against its sources.

    Parameters
    ----------
    anatomical, functional, fused
        (H, W), gray levels 0..255. Published figures are of fused images rounded to whole levels.
    names
        Metrics to compute; None computes all.

    Returns
    -------
    dict
        Value by name, in the order of `names`.

    Raises
    ------
    DataError
        When the images are not slices of one shape of at least 48 x 48 finite gray levels 0..255.
    UsageError
        When a name is not that of a metric.
    """
    metrics = METRICS if names is None else [get_metric(name) for name in names]
    images = {"anatomical": anatomical, "functional": functional, "fused": fused}
    slices = [_checked(image, role, np.shape(anatomical)) for role, image in images.items()]
    known: dict[_Pairwise, tuple[float, float]] = {}
    return {metric.name: float(_value(metric.function, slices, known)) for metric in metrics}


def _value(
    function: _Triple, slices: Sequence[np.ndarray], known: dict[_Pairwise, tuple[float, float]]
) -> float:
    """A metric of three slices; what several make of the same two figures is computed once."""
    anatomical, functional, fused = slices
    if not isinstance(function, _OfBoth):
        return function(anatomical, functional, fused)
    if function.of_each not in known:
        of_each = function.of_each
        known[of_each] = of_each(anatomical, fused), of_each(functional, fused)
    return function.combine(*known[function.of_each])


def _checked(image: np.ndarray, role: str, shape: tuple[int, ...]) -> np.ndarray:
    levels = np.asarray(image, np.float64)
    if levels.shape != shape:
        raise DataError(
            f"the {role} image is {levels.shape}, the anatomical one {shape}; resample it"
        )
    if levels.ndim != 2 or min(levels.shape) < SMALLEST_SIDE:
        raise DataError(
            f"the {role} image is {levels.shape}; metrics need a slice of at least "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE} pixels"
        )
    if not np.isfinite(levels).all() or levels.min() < 0 or levels.max() > 255:
        raise DataError(
            f"the {role} image runs from {levels.min():g} to {levels.max():g}; "
            "scale it to gray levels 0..255"
        )
    return levels
