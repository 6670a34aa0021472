"""Non-linear registration of the T1w to a template, and the templates at hand."""

import io
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np

from fusionprep.errors import UsageError
from fusionprep.image.io import load_image
from fusionprep.image.lesion_filling import fill_lesion
from fusionprep.image.masks import tight_box
from fusionprep.image.resample import (
    compose,
    downsample,
    from_sitk,
    itk_from_ras,
    ras_from_itk,
    to_sitk,
)
from fusionprep.spaces import PACKAGED_TEMPLATE, TemplateSpace, templateflow_home

if TYPE_CHECKING:
    import SimpleITK as sitk

PACKAGED_MASK_FROM = 0.2
"""Level of the packaged template above which its mask is."""

WARP_MM = 2.0

MARGIN_MM = 10.0
"""Of background that is kept around a brain."""

AFFINE_SHARE, AFFINE_SEED = 0.25, 1
"""Of the voxels, by which the affine transform is found; all of them move it by 0.1 mm. ITK shifts
regular samples at random, with 0 for a seed by the time of day."""

STEPS, SLOPPY_STEPS = "40x40x12", "20x5x0"
"""Of the warp at 8, 4 and 2 mm."""

UPDATE_SIGMA, FIELD_SIGMA = 1.5, 0.62
"""Voxels by which greedy smooths each update of the warp, and the warp after it."""

INVERSE_STEPS = 20
"""They leave less than 0.001 mm on average, and 0.15 mm where a warp compresses most."""


@dataclass(frozen=True)
class Template:
    """A skull-stripped T1w template, its brain mask and, where there is one, its GM map."""

    brain: nib.Nifti1Image
    mask: nib.Nifti1Image
    gm: nib.Nifti1Image | None


def check_template(space: TemplateSpace) -> None:
    """Check, without reading it, that a template is at hand.

    Raises
    ------
    UsageError
        When the template's files are not on this machine; nothing is ever downloaded.
    """
    if space.name != PACKAGED_TEMPLATE:
        _templateflow_paths(space)
    elif space.resolution not in ("1", "2"):
        raise UsageError(f"{space.name} is available at res-1 and res-2, not {space}")


def load_template(space: TemplateSpace) -> Template:
    """Load a template from nilearn's package data or from a local TemplateFlow folder.

    Raises
    ------
    UsageError
        As :func:`check_template`.
    """
    check_template(space)
    if space.name == PACKAGED_TEMPLATE:
        return _load_packaged(int(space.resolution))
    return _load_templateflow(space)


def _load_packaged(resolution: int) -> Template:
    if resolution == 1:
        brain, gm = (_packaged_map(name) for name in ("t1", "gm"))
        mask = np.asarray(brain.dataobj) > PACKAGED_MASK_FROM
        return Template(brain, nib.Nifti1Image(mask.astype(np.float32), brain.affine), gm)
    from nilearn import datasets

    brain = datasets.load_mni152_template(resolution=resolution)
    mask = datasets.load_mni152_brain_mask(resolution=resolution)
    gm = datasets.load_mni152_gm_template(resolution=resolution)
    return Template(_float(brain), _float(mask), _float(gm))


def _packaged_map(name: str) -> nib.Nifti1Image:
    """A map of the packaged template at 1 mm, largest value 1, as nilearn's functions give it."""
    # importing them takes longer than all that is done with the template's grid
    file = f"nilearn/datasets/data/mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    image = load_image(str(metadata.distribution("nilearn").locate_file(file)))
    data = np.asarray(image.dataobj).astype(np.float32)
    return nib.Nifti1Image(data / data.max(), image.affine)


def _float(image: nib.Nifti1Image) -> nib.Nifti1Image:
    return nib.Nifti1Image(image.get_fdata(dtype=np.float32), image.affine)


def _templateflow_paths(space: TemplateSpace) -> dict[str, Path]:
    folder = templateflow_home() / f"tpl-{space.name}"
    stem = f"tpl-{space.name}_res-{int(space.resolution):02d}"
    paths = {
        "T1w": folder / f"{stem}_T1w.nii.gz",
        "mask": folder / f"{stem}_desc-brain_mask.nii.gz",
    }
    for path in paths.values():
        # TemplateFlow's skeleton holds empty files until they are downloaded
        if not path.is_file() or path.stat().st_size == 0:
            raise UsageError(
                f"template {space} needs {path}; put TemplateFlow's file there,"
                f" or use {PACKAGED_TEMPLATE}"
            )
    return {**paths, "GM": folder / f"{stem}_label-GM_probseg.nii.gz"}


def _load_templateflow(space: TemplateSpace) -> Template:
    paths = _templateflow_paths(space)
    mask = _float(load_image(paths["mask"]))
    head = _float(load_image(paths["T1w"]))
    brain = nib.Nifti1Image(np.asarray(head.dataobj) * (np.asarray(mask.dataobj) > 0), head.affine)
    has_gm = paths["GM"].is_file() and paths["GM"].stat().st_size > 0
    return Template(brain, mask, _float(load_image(paths["GM"])) if has_gm else None)


@dataclass(frozen=True)
class TemplateTransforms:
    """ITK transforms named by the direction in which they carry images.

    ``template_from_t1w`` resamples a T1w-space image onto the template's grid.
    """

    template_from_t1w: "sitk.Transform"
    t1w_from_template: "sitk.Transform"
    software: str


def register_template(
    template_brain: nib.Nifti1Image,
    t1w_brain: nib.Nifti1Image,
    *,
    backend: str = "greedy",
    n_threads: int = 1,
    seed: int = 0,
    sloppy: bool = False,
    lesion: nib.Nifti1Image | None = None,
) -> TemplateTransforms:
    """Affine, then diffeomorphic registration of two skull-stripped T1w images at 2 mm.

    Parameters
    ----------
    backend
        ``greedy`` (Yushkevich et al., 2016; normalised cross-correlation) or ``ants``
        (SyN, Avants et al., 2008).
    seed
        Seed of ANTs' sampling, which has an effect with one thread only; greedy needs none.
    sloppy
        A fraction of greedy's iterations, for trying things out; ANTs' quick preset is kept.
    lesion
        Mask on the grid of the T1w of what has no counterpart in the template, which does not see
        it (:func:`~fusionprep.image.lesion_filling.fill_lesion`); None, or empty, for none.
    """
    fixed, moving = (to_sitk(downsample(brain, WARP_MM)) for brain in (template_brain, t1w_brain))
    if lesion is not None and np.asarray(lesion.dataobj).any():
        affine = _refine_affine(fixed, moving, _find_rigid(fixed, moving)).round(4)
        moving = fill_lesion(fixed, moving, to_sitk(downsample(lesion, WARP_MM)), affine)
    if backend == "ants":
        return _register_ants(fixed, moving, n_threads=n_threads, seed=seed)
    part = _around_brain(fixed, template_brain)
    return _register_greedy(fixed, moving, part, n_threads=n_threads, sloppy=sloppy)


def _register_greedy(
    fixed: "sitk.Image", moving: "sitk.Image", part: "sitk.Image", *, n_threads: int, sloppy: bool
) -> TemplateTransforms:
    """Register by greedy, the warp on a `part` of `fixed` alone."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(n_threads)
    # The rigid transform needs the background as well, without which it can be off by centimetres.
    # Rounded, since the last digits may depend on the processor, and the warp would make up to a
    # millimetre of them.
    affine = _refine_affine(fixed, moving, _find_rigid(fixed, moving)).round(4)
    warp = _find_warp(part, moving, affine, n_threads=n_threads, sloppy=sloppy)
    # Whatever thread ends first, the largest error alone steers the iterations, of which there are
    # always as many.
    inverse = sitk.InvertDisplacementField(warp, INVERSE_STEPS, 0.0, 0.0, False)
    there, back = (
        sitk.DisplacementFieldTransform(_over_all(field, fixed)) for field in (warp, inverse)
    )
    t1w_from_template = itk_from_ras(np.linalg.inv(affine))
    return TemplateTransforms(
        template_from_t1w=compose([there, t1w_from_template]),
        t1w_from_template=compose([t1w_from_template.GetInverse(), back]),
        software=(
            f"greedy {metadata.version('picsl_greedy')}, SimpleITK {sitk.Version.VersionString()}"
        ),
    )


def _around_brain(small: "sitk.Image", brain: nib.Nifti1Image) -> "sitk.Image":
    """The part around the brain of a downsampled skull-stripped image; all, where nothing is."""
    import SimpleITK as sitk

    low, size = [], []
    for side, voxel, spacing, count in zip(
        tight_box(np.asarray(brain.dataobj) > 0),
        nib.affines.voxel_sizes(brain.affine),
        small.GetSpacing(),
        small.GetSize(),
        strict=True,
    ):
        first, last = 0, count
        if side.stop > side.start:
            first = max(0, math.floor((side.start * voxel - MARGIN_MM) / spacing))
            last = min(count, math.ceil((side.stop * voxel + MARGIN_MM) / spacing))
        low.append(first)
        size.append(last - first)
    return sitk.RegionOfInterest(small, size, low)


def _over_all(field: "sitk.Image", grid: "sitk.Image") -> "sitk.Image":
    """Extend a field, found on a part of a grid, over all of it by its nearest value."""
    import SimpleITK as sitk

    low = np.array(grid.TransformPhysicalPointToIndex(field.GetOrigin()))
    high = np.array(grid.GetSize()) - low - field.GetSize()
    return sitk.ZeroFluxNeumannPad(field, low.tolist(), high.tolist())


def _find_rigid(fixed: "sitk.Image", moving: "sitk.Image") -> np.ndarray:
    """Rigid transform (4, 4) by mutual information; RAS points of `fixed` to `moving`."""
    from picsl_greedy import Greedy3D

    greedy = Greedy3D()
    # Jitter would make results differ from run to run. An affine can run away when the head is far
    # from the template, a rigid transform does not.
    with _nothing_printed():
        greedy.execute(
            "-a -dof 6 -i fixed moving -o rigid -n 100x50x0 -m NMI -ia-image-centers"
            " -jitter 0 -threads 1 -V 0",
            fixed=fixed,
            moving=moving,
            rigid=None,
            out=io.StringIO(),
        )
    return greedy["rigid"]


def _find_warp(
    fixed: "sitk.Image", moving: "sitk.Image", affine: np.ndarray, *, n_threads: int, sloppy: bool
) -> "sitk.Image":
    """Displacements (mm) on the grid of `fixed`, to be followed by an affine transform."""
    import SimpleITK as sitk
    from picsl_greedy import Greedy3D

    greedy = Greedy3D()
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(path := Path(folder, "affine.mat"), affine)
        # Noise would make results differ from run to run; by default the warp is rounded to a
        # tenth of a voxel.
        greedy.execute(
            f"-i fixed moving -it {path} -o warp -n {SLOPPY_STEPS if sloppy else STEPS}"
            f" -m NCC 2x2x2 -noise 0 -s {UPDATE_SIGMA}vox {FIELD_SIGMA}vox -wp 0"
            f" -threads {n_threads} -V 0",
            fixed=fixed,
            moving=moving,
            warp=None,
            out=io.StringIO(),
        )
    return sitk.Cast(greedy["warp"], sitk.sitkVectorFloat64)


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Keep the optimiser's remark that no step improves the result off standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _refine_affine(fixed: "sitk.Image", moving: "sitk.Image", rigid: np.ndarray) -> np.ndarray:
    """Affine (4, 4) by mutual information, from a rigid one; RAS points of `fixed` to `moving`.

    By SimpleITK, since greedy's affine does not move for two images on the same grid, and differs
    from run to run with cross-correlation.
    """
    import SimpleITK as sitk

    start = itk_from_ras(np.linalg.inv(rigid))
    transform = sitk.AffineTransform(3)
    middle = [(size - 1) / 2 for size in fixed.GetSize()]
    transform.SetCenter(fixed.TransformContinuousIndexToPhysicalPoint(middle))
    transform.SetMatrix(start.GetMatrix())
    origin = transform.TransformPoint((0.0, 0.0, 0.0))
    transform.SetTranslation(np.subtract(start.TransformPoint((0.0, 0.0, 0.0)), origin).tolist())
    method = sitk.ImageRegistrationMethod()
    # One thread alone would leave the image in as many parts as there are processors, whose sums
    # are added up in the order in which they are done.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(AFFINE_SHARE, AFFINE_SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel([2])
    method.SetSmoothingSigmasPerLevel([1])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.01, 100, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return np.linalg.inv(ras_from_itk(transform))


def _register_ants(
    fixed: "sitk.Image", moving: "sitk.Image", *, n_threads: int, seed: int
) -> TemplateTransforms:
    # ITK reads the thread count once, when ants is first imported.
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(n_threads)
    import ants
    import SimpleITK as sitk

    if n_threads == 1:
        # 0, and what 32 bits with a sign cannot hold, would ask ANTs for the time of day
        ants.config.set_ants_deterministic(True, seed % (2**31 - 1) + 1)
    with tempfile.TemporaryDirectory() as folder:
        images = []
        for name, image in (("fixed", fixed), ("moving", moving)):
            path = Path(folder, f"{name}.nii.gz")
            nib.save(from_sitk(image), path)
            images.append(ants.image_read(str(path)))
        found = ants.registration(
            *images, type_of_transform="antsRegistrationSyNQuick[s]", outprefix=f"{folder}/out_"
        )
        warp, affine = (Path(path) for path in found["fwdtransforms"])
        inverse = next(Path(p) for p in found["invtransforms"] if p.endswith(".nii.gz"))
        t1w_from_template = sitk.ReadTransform(str(affine))
        fields = [
            sitk.DisplacementFieldTransform(sitk.ReadImage(str(p), sitk.sitkVectorFloat64))
            for p in (warp, inverse)
        ]
    return TemplateTransforms(
        template_from_t1w=compose([fields[0], t1w_from_template]),
        t1w_from_template=compose([t1w_from_template.GetInverse(), fields[1]]),
        software=f"antspyx {ants.__version__}",
    )
