import os
import subprocess
import sys
from dataclasses import dataclass

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from nilearn import datasets
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fusionprep.errors import UsageError
from fusionprep.image.io import new_image
from fusionprep.image.masks import dice
from fusionprep.image.resample import (
    compose,
    downsample,
    empty_like,
    itk_from_ras,
    resample,
    to_sitk,
)
from fusionprep.image.template import (
    Template,
    TemplateSpace,
    _around_brain,
    _refine_affine,
    load_template,
    register_template,
    templateflow_home,
)


@pytest.mark.parametrize(
    ("text", "space"),
    [
        ("MNI152NLin2009aSym", TemplateSpace("MNI152NLin2009aSym", "1")),
        ("MNI152NLin2009aSym:res-2", TemplateSpace("MNI152NLin2009aSym", "2")),
        ("MNI152NLin6Asym:res-02", TemplateSpace("MNI152NLin6Asym", "2")),
    ],
)
def test_names_of_spaces(text, space):
    assert TemplateSpace.parse(text) == space
    assert TemplateSpace.parse(str(space)) == space


@pytest.mark.parametrize("text", ["", "MNI:res-", "MNI:res-0", "MNI:2", "MNI_x", "MNI:res-1:x"])
def test_other_names_are_refused(text):
    with pytest.raises(UsageError, match="not of the form"):
        TemplateSpace.parse(text)


def test_packaged_template_is_complete_and_at_the_resolution_asked_for():
    for resolution in (1, 2):
        template = load_template(TemplateSpace("MNI152NLin2009aSym", str(resolution)))
        np.testing.assert_allclose(nib.affines.voxel_sizes(template.brain.affine), resolution)
        for image in (template.mask, template.gm):
            assert image.shape == template.brain.shape
            np.testing.assert_array_equal(image.affine, template.brain.affine)
        mask = np.asarray(template.mask.dataobj) > 0.5
        litres = mask.sum() * resolution**3 / 1e6
        assert 1.7 < litres < 2.0
        gm = np.asarray(template.gm.dataobj)
        assert gm.max() <= 1
        assert gm[~mask].sum() < 0.02 * gm.sum()


def test_packaged_template_at_another_resolution_is_refused():
    with pytest.raises(UsageError, match="res-1 and res-2, not MNI152NLin2009aSym:res-3"):
        load_template(TemplateSpace("MNI152NLin2009aSym", "3"))


def flow_template(home, names) -> None:
    folder = home / "tpl-Mine"
    folder.mkdir()
    data = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    for name in names:
        values = (data > 13).astype(np.uint8) if "mask" in name else data
        nib.save(nib.Nifti1Image(values, np.eye(4)), folder / f"tpl-Mine_res-01_{name}.nii.gz")


def test_templateflow_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    assert templateflow_home() == tmp_path
    flow_template(tmp_path, ["T1w", "desc-brain_mask"])
    template = load_template(TemplateSpace("Mine"))
    brain = np.asarray(template.brain.dataobj)
    assert not brain[brain <= 13].any()
    assert brain.max() == 26
    assert template.gm is None


def test_templateflow_gray_matter(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    flow_template(tmp_path, ["T1w", "desc-brain_mask", "label-GM_probseg"])
    assert load_template(TemplateSpace("Mine")).gm is not None


@pytest.mark.parametrize("empty", [False, True])
def test_templateflow_files_that_are_not_there_are_named(tmp_path, monkeypatch, empty):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    flow_template(tmp_path, ["T1w"])
    missing = tmp_path / "tpl-Mine" / "tpl-Mine_res-01_desc-brain_mask.nii.gz"
    if empty:
        missing.touch()
    with pytest.raises(UsageError, match=r"needs .*tpl-Mine_res-01_desc-brain_mask\.nii\.gz"):
        load_template(TemplateSpace("Mine"))


@dataclass(frozen=True)
class Deformed:
    """A template, and a "subject" that is the template deformed in a known way."""

    template: Template
    brain: nib.Nifti1Image
    mask: nib.Nifti1Image
    gm: nib.Nifti1Image
    subject_from_template: sitk.Transform


@pytest.fixture(scope="module")
def deformed() -> Deformed:
    template = load_template(TemplateSpace("MNI152NLin2009aSym", "2"))
    shape = template.brain.shape
    rng = np.random.default_rng(0)
    vectors = np.stack(
        [ndimage.gaussian_filter(rng.standard_normal(shape), 8) for _ in range(3)], axis=-1
    )
    vectors *= 6 / np.abs(vectors).max()
    field = sitk.GetImageFromArray(
        np.ascontiguousarray(vectors.transpose(2, 1, 0, 3)), isVector=True
    )
    field.CopyInformation(empty_like(template.brain))
    affine = nib.affines.from_matvec(np.diag([1.06, 0.95, 1.03]), (3, -4, 5))
    to_template = compose([sitk.DisplacementFieldTransform(field), itk_from_ras(affine)])
    # a grid with margins and another origin, as a scan has
    grid = new_image(
        np.zeros((110, 130, 112), np.float32),
        nib.affines.from_matvec(np.eye(3) * 2, (-108, -148, -92)),
    )
    moved = [resample(image, grid, to_template) for image in (template.brain, template.mask)]
    return Deformed(template, *moved, resample(template.gm, grid, to_template), to_template)


def overlap(image: nib.Nifti1Image, target: nib.Nifti1Image, transform=None) -> float:
    moved = np.asarray(resample(image, target, transform).dataobj)
    return dice(moved > 0.5, np.asarray(target.dataobj) > 0.5)


def check(deformed: Deformed, backend: str, gm_dice: float, *, sloppy: bool = False) -> None:
    template = deformed.template
    found = register_template(template.brain, deformed.brain, backend=backend, sloppy=sloppy)
    before = overlap(deformed.gm, template.gm)
    after = overlap(deformed.gm, template.gm, found.template_from_t1w)
    assert before < 0.7
    assert after > gm_dice
    assert overlap(deformed.mask, template.mask, found.template_from_t1w) > 0.98
    # and the way back
    assert overlap(template.gm, deformed.gm, found.t1w_from_template) > gm_dice
    points = nib.affines.apply_affine(
        template.mask.affine, np.argwhere(np.asarray(template.mask.dataobj) > 0)[::300]
    )
    there_and_back = compose([found.template_from_t1w, found.t1w_from_template])
    # the true transform undoes what was found: how far off is the anatomy?
    truth = compose([found.template_from_t1w, deformed.subject_from_template])
    lps = points * [-1, -1, 1]
    returned = np.array([there_and_back.TransformPoint(point) for point in lps.tolist()])
    missed = np.array([truth.TransformPoint(point) for point in lps.tolist()])
    assert np.linalg.norm(returned - lps, axis=1).max() < 0.5
    assert np.linalg.norm(returned - lps, axis=1).mean() < 0.06
    assert np.linalg.norm(missed - lps, axis=1).mean() < 1.5
    assert backend[:4] in found.software


def test_greedy_finds_a_known_deformation(deformed):
    check(deformed, "greedy", 0.90, sloppy=True)


@pytest.mark.slow
def test_greedy_in_full_finds_it_better(deformed):
    check(deformed, "greedy", 0.93)


def test_transforms_have_no_edge_where_the_box_of_the_brain_ends(deformed):
    """The head around the brain is carried along, up to the ends of the template."""
    template, lps = deformed.template.brain, np.array([-1, -1, 1])
    found = register_template(template, deformed.brain, sloppy=True)
    for axis, size in enumerate(template.shape):
        line = np.tile((np.array(template.shape) - 1) / 2, (2 * size - 1, 1))
        line[:, axis] = np.arange(2 * size - 1) / 2
        points = nib.affines.apply_affine(template.affine, line) * lps
        carried = [found.template_from_t1w.TransformPoint(point) for point in points.tolist()]
        steps = np.linalg.norm(np.diff(carried, axis=0), axis=1)
        assert steps.min() > 0.2
        assert steps.max() < 2.5


def test_warps_are_not_rounded(deformed):
    """They came in tenths of a voxel."""
    found = register_template(deformed.template.brain, deformed.brain, sloppy=True)
    warp = sitk.CompositeTransform(found.template_from_t1w).GetNthTransform(1)
    field = sitk.GetArrayFromImage(sitk.DisplacementFieldTransform(warp).GetDisplacementField())
    assert len(np.unique(field.round(3))) > 1000


def test_the_part_around_a_brain_has_a_margin_inside_the_image():
    data = np.zeros((40, 50, 60), np.float32)
    data[20:25, 2:30, 10:50] = 1
    brain = nib.Nifti1Image(data, np.diag([1.0, 2.0, 4.0, 1.0]))
    found = _around_brain(to_sitk(brain), brain)
    assert found.GetSize() == (5 + 20, 30 + 5, 40 + 6)
    assert sitk.GetArrayFromImage(found).sum() == data.sum()
    nothing = nib.Nifti1Image(np.zeros_like(data), np.eye(4))
    assert _around_brain(to_sitk(nothing), nothing).GetSize() == data.shape


def test_the_packaged_template_is_what_nilearn_gives():
    template = load_template(TemplateSpace("MNI152NLin2009aSym", "1"))
    pairs = [
        (template.brain, datasets.load_mni152_template(resolution=1)),
        (template.mask, datasets.load_mni152_brain_mask(resolution=1)),
        (template.gm, datasets.load_mni152_gm_template(resolution=1)),
    ]
    for own, given in pairs:
        np.testing.assert_array_equal(own.affine, given.affine)
        np.testing.assert_array_equal(own.get_fdata(), given.get_fdata())


@pytest.mark.slow
def test_ants_finds_a_known_deformation(deformed):
    check(deformed, "ants", 0.92)


@pytest.fixture(scope="module")
def coarse(deformed) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Template and brain in voxels of 4 mm, which are registered in a second."""
    brains = deformed.template.brain, deformed.brain
    return tuple(downsample(image, 4.0) for image in brains)


def test_the_affine_repeats_to_the_last_digit(coarse):
    """Sums were added up as threads ended, of which the warp made up to a millimetre."""
    fixed, moving = (to_sitk(image) for image in coarse)
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(4)
    found = {_refine_affine(fixed, moving, np.eye(4)).tobytes() for _ in range(6)}
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
    assert len(found) == 1


def test_threads_change_nothing(coarse):
    """Neither the warp nor its inverse."""
    found = [register_template(*coarse, n_threads=n, sloppy=True) for n in (1, 3)]
    points = np.random.default_rng(0).uniform(-60, 60, (200, 3)).tolist()
    for direction in ("template_from_t1w", "t1w_from_template"):
        first, second = (
            [getattr(transforms, direction).TransformPoint(point) for point in points]
            for transforms in found
        )
        assert first == second


REGISTER = """
import sys
from pathlib import Path
import nibabel as nib
from fusionprep.image.template import register_template
from fusionprep.image.transform_files import write_transform
folder, out, backend, sloppy = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], bool(sys.argv[4])
images = (nib.load(folder / f"{name}.nii") for name in ("template", "brain"))
found = register_template(*images, backend=backend, seed=3, sloppy=sloppy)
for direction in ("template_from_t1w", "t1w_from_template"):
    write_transform(getattr(found, direction), out / f"{direction}.h5")
"""


@pytest.mark.parametrize(
    ("backend", "sloppy"),
    [
        ("greedy", "sloppy"),
        pytest.param("greedy", "", marks=pytest.mark.slow),
        pytest.param("ants", "sloppy", marks=pytest.mark.slow),
    ],
)
def test_two_processes_write_the_same_bytes(coarse, tmp_path, backend, sloppy):
    for name, image in zip(("template", "brain"), coarse, strict=True):
        image.to_filename(tmp_path / f"{name}.nii")
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        words = [sys.executable, "-c", REGISTER, tmp_path, tmp_path / name, backend, sloppy]
        # what was in memory before must not matter either
        subprocess.run(words, check=True, env={**os.environ, "MALLOC_PERTURB_": str(len(name))})
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert len(written[0]) == 2
    assert written[0] == written[1]


@pytest.mark.parametrize("axis", ["x", "z"])
def test_greedy_finds_a_head_that_is_turned_and_elsewhere(deformed, axis):
    rotation = Rotation.from_euler(axis, 45, degrees=True).as_matrix()
    turn = nib.affines.from_matvec(rotation, (40, -60, 50))
    moved = new_image(np.asarray(deformed.brain.dataobj), turn @ deformed.brain.affine)
    template = deformed.template
    found = register_template(template.brain, moved, sloppy=True).template_from_t1w
    gm = new_image(np.asarray(deformed.gm.dataobj), turn @ deformed.gm.affine)
    assert overlap(gm, template.gm, found) > 0.9
