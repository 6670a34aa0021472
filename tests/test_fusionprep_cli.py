import hashlib
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from fusionprep import __version__
from fusionprep.cli import main
from fusionprep.image.colour import decode_colour, rgb24_image
from fusionprep.models import fuse
from fusionprep.models.registry import DEFAULT_MODEL, get_model, model_names


@pytest.fixture
def volumes(tmp_path):
    """A ball of MRI with a PET that is bright on one side, 2 mm voxels."""
    grid = np.indices((24, 26, 20)) - np.array([12, 13, 10]).reshape(3, 1, 1, 1)
    ball = np.linalg.norm(grid, axis=0) < 8
    mri = ball * (500 + 100 * np.cos(grid[1])).astype(np.float32)
    pet = ball * np.where(grid[0] > 0, 9000.0, 3000.0).astype(np.float32)
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    for name, array in (("mri", mri), ("pet", pet)):
        nib.Nifti1Image(array, affine).to_filename(tmp_path / f"{name}.nii.gz")
    return tmp_path


def run(*words):
    return main([str(word) for word in words])


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        run("--version")
    assert capsys.readouterr().out.strip() == f"fusionprep {__version__}"


def test_models_are_listed_with_their_parameters(capsys):
    assert run("models") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(model_names())
    densefuse = lines[1 + model_names().index("densefuse")]
    assert "74,193" in densefuse
    assert "2019" in densefuse


def test_two_volumes_are_fused(volumes):
    mri, pet, out = (volumes / f"{name}.nii.gz" for name in ("mri", "pet", "fused"))
    assert run("fuse", mri, pet, "--model", "average", "--tracer", "18FFDG", "-o", out) == 0
    fused, source = nib.load(out), nib.load(mri)
    data, inside = fused.get_fdata(), source.get_fdata() > 0
    assert np.allclose(fused.affine, source.affine)
    assert fused.get_data_dtype() == np.float32
    assert not data[~inside].any()
    right = np.arange(24)[:, None, None] > 12
    assert data[inside & right].mean() - data[inside & ~right].mean() == pytest.approx(
        1 / 3, abs=0.05
    )
    sidecar = json.loads((volumes / "fused.json").read_text())["FusionModel"]
    assert sidecar["Name"] == "average"
    assert [entry["Source"] for entry in sidecar["Inputs"]] == ["mri.nii.gz", "pet.nii.gz"]
    assert sidecar["Inputs"][1]["Scaling"]["Low"] == 0
    assert sidecar["Inputs"][1]["Scaling"]["High"] == pytest.approx(9000)
    assert sidecar["Planes"] == "axial"
    arrays = (nib.load(path).get_fdata(dtype=np.float32) for path in (mri, pet))
    np.testing.assert_allclose(fuse(*arrays, model="average", tracer="FDG"), data, atol=1e-6)


@pytest.mark.parametrize("planes", ["axial", "triplanar"])
def test_slices_are_axial_in_whichever_order_the_file_has_its_axes(volumes, planes):
    options = ("--model", "laplacian", "--planes", planes, "--batch-size", 3)
    paths = [volumes / f"{name}.nii.gz" for name in ("mri", "pet")]
    assert run("fuse", *paths, *options, "-o", volumes / "ras.nii") == 0
    turned = [volumes / f"turned_{path.name}" for path in paths]
    from_ras, to_slp = map(nib.orientations.axcodes2ornt, ("RAS", "SLP"))
    for path, out in zip(paths, turned, strict=True):
        transform = nib.orientations.ornt_transform(from_ras, to_slp)
        image = nib.load(path).as_reoriented(transform)
        assert nib.aff2axcodes(image.affine) == ("S", "L", "P")
        image.to_filename(out)
    assert run("fuse", *turned, *options, "-o", volumes / "turned.nii") == 0
    expected, found = nib.load(volumes / "ras.nii"), nib.load(volumes / "turned.nii")
    source = nib.load(turned[0])
    assert found.shape == source.shape
    assert np.array_equal(found.affine, source.affine)
    found = nib.as_closest_canonical(found)
    np.testing.assert_allclose(found.affine, expected.affine)
    np.testing.assert_allclose(found.get_fdata(), expected.get_fdata(), atol=1e-5)
    assert json.loads((volumes / "turned.json").read_text())["FusionModel"]["Planes"] == planes


def test_a_ct_is_scaled_by_its_window_and_fused_over_the_head(volumes):
    mri = nib.load(volumes / "mri.nii.gz")
    distance = np.linalg.norm(np.indices(mri.shape) - [[[[12]]], [[[13]]], [[[10]]]], axis=0)
    hounsfield = np.where(distance < 9.9, np.where(distance > 9, 1000.0, 40.0), -1000.0)
    hounsfield[0] = np.nan
    nib.Nifti1Image(hounsfield, mri.affine).to_filename(volumes / "ct.nii.gz")
    words = (volumes / "mri.nii.gz", volumes / "ct.nii.gz", "--functional-modality", "ct")
    assert run("fuse", *words, "--model", "max", "-o", volumes / "fused.nii.gz") == 0
    fused = nib.load(volumes / "fused.nii.gz").get_fdata()
    skull = (distance > 9.2) & (distance < 9.5)
    np.testing.assert_allclose(fused[skull], (1000 + 150) / 1500, atol=1e-5)
    assert not fused[distance > 10].any()
    scaling = json.loads((volumes / "fused.json").read_text())["FusionModel"]["Inputs"][1]
    assert scaling["Scaling"] == {
        "Method": "wide window in Hounsfield units", "Low": -150.0, "High": 1350.0,
    }  # fmt: skip


def test_what_a_ct_was_stored_in_is_told_in_the_sidecar(volumes):
    mri = nib.load(volumes / "mri.nii.gz")
    distance = np.linalg.norm(np.indices(mri.shape) - [[[[12]]], [[[13]]], [[[10]]]], axis=0)
    stored = np.where(distance < 9.9, np.where(distance > 9, 2024.0, 1064.0), 24.0)
    nib.Nifti1Image(stored, mri.affine).to_filename(volumes / "ct.nii.gz")
    words = (volumes / "mri.nii.gz", volumes / "ct.nii.gz", "--functional-modality", "ct")
    assert run("fuse", *words, "--model", "max", "-o", volumes / "fused.nii.gz") == 0
    assert "1024 was subtracted" in json.loads((volumes / "fused.json").read_text())["StoredUnits"]


def test_gray_levels_of_a_ct_are_fused_as_they_are_and_not_called_hounsfield_units(volumes, capsys):
    mri = nib.load(volumes / "mri.nii.gz")
    distance = np.linalg.norm(np.indices(mri.shape) - [[[[12]]], [[[13]]], [[[10]]]], axis=0)
    levels = np.where(distance < 9.9, np.where(distance > 9, 255.0, 100.0), 0)
    nib.Nifti1Image(levels, mri.affine).to_filename(volumes / "ct.nii.gz")
    nib.Nifti1Image(17 * levels, mri.affine).to_filename(volumes / "scaled.nii.gz")
    words = ("--functional-modality", "ct", "--model", "max", "-o", volumes / "fused.nii.gz")
    assert run("fuse", volumes / "mri.nii.gz", volumes / "ct.nii.gz", *words) == 0
    fused = nib.load(volumes / "fused.nii.gz").get_fdata()
    np.testing.assert_allclose(fused[(distance > 9.2) & (distance < 9.5)], 1, atol=1e-5)
    assert not fused[distance > 10.5].any()
    told = json.loads((volumes / "fused.json").read_text())["FusionModel"]["Inputs"][1]["Scaling"]
    assert (told["Low"], told["High"]) == (0, 255)
    assert "not Hounsfield units" in told["Method"]
    assert (
        run("fuse", volumes / "mri.nii.gz", volumes / "scaled.nii.gz", *words, "--overwrite") == 1
    )
    assert "scaled.nii.gz is not in Hounsfield units" in capsys.readouterr().err


def test_the_network_leaves_its_weights_in_the_sidecar(volumes):
    out = volumes / "fused.nii"
    assert run("fuse", volumes / "mri.nii.gz", volumes / "pet.nii.gz", "-o", out) == 0
    sidecar = json.loads((volumes / "fused.json").read_text())["FusionModel"]
    assert sidecar["WeightsSHA256"] == get_model(DEFAULT_MODEL).weights_sha256()
    assert nib.load(out).get_fdata().min() >= 0
    assert nib.load(out).get_fdata().max() <= 1


def test_own_weights_and_their_card_are_in_the_sidecar(volumes, write_weights):
    words = ("fuse", volumes / "mri.nii.gz", volumes / "pet.nii.gz", "--model", "unet")
    path, _ = write_weights("unet", version="2.0")
    assert run(*words, "--weights", path, "-o", volumes / "own.nii") == 0
    text = (volumes / "own.json").read_text()
    fields = json.loads(text)["FusionModel"]
    assert fields["WeightsSHA256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (fields["Version"], fields["WeightsFile"]) == ("2.0", "unet.safetensors")
    assert str(volumes) not in text
    # Other weights, other image.
    path, _ = write_weights("unet", seed=1)
    assert run(*words, "--weights", path, "-o", volumes / "other.nii") == 0
    assert json.loads((volumes / "other.json").read_text())["FusionModel"]["Version"] is None
    own, other = (nib.load(volumes / f"{name}.nii").get_fdata() for name in ("own", "other"))
    assert np.abs(own - other).max() > 0.01


def test_weights_that_cannot_be_used_are_said_in_one_line(volumes, write_weights, capsys):
    path, _ = write_weights("unet")
    (volumes / "text.safetensors").write_text("text")
    images = (volumes / "mri.nii.gz", volumes / "pet.nii.gz")
    for model, file, code, message in [
        ("unet", volumes / "none.safetensors", 1, "No such file"),
        ("unet", volumes / "text.safetensors", 1, "is not a safetensors file"),
        ("u2fusion", path, 1, "does not hold weights of u2fusion"),
        ("average", path, 64, "average has no weights"),
    ]:
        for words in (("fuse", *images, "--model", model), ("export-onnx", model)):
            assert run(*words, "--weights", file, "-o", volumes / "out" / "f.nii") == code
            error = capsys.readouterr().err
            assert message in error
            assert error.count("\n") == 1
    assert not (volumes / "out").exists()


def test_two_volumes_in_colour(volumes):
    mri, pet, out = (volumes / f"{name}.nii.gz" for name in ("mri", "pet", "fused"))
    assert run("fuse", mri, pet, "--colour", "--colour-map", "vivid", "-o", out) == 0
    colour = nib.load(out)
    assert np.allclose(colour.affine, nib.load(mri).affine)
    voxels = np.asarray(colour.dataobj)
    rgb = np.stack([voxels[channel] for channel in "RGB"], axis=-1)
    expected = fuse(
        *(nib.load(path).get_fdata() for path in (mri, pet)), colour=True, colour_map="vivid"
    )
    assert np.abs(rgb.astype(int) - expected).max() <= 3
    sidecar = json.loads((volumes / "fused.json").read_text())
    assert "FusionModel" not in sidecar
    assert sidecar["ColourMap"]["Name"] == "vivid"
    assert [each["Source"] for each in sidecar["ColourMap"]["Inputs"]] == [mri.name, pet.name]


def test_colours_are_on_the_grid_of_the_first_file(volumes):
    ras = nib.load(volumes / "mri.nii.gz")
    flip = nib.orientations.ornt_transform(*map(nib.orientations.axcodes2ornt, ("RAS", "LAS")))
    for name in ("mri", "pet"):
        image = nib.load(volumes / f"{name}.nii.gz").as_reoriented(flip)
        image.to_filename(volumes / f"{name}_las.nii")
    for ending in (".nii.gz", "_las.nii"):
        paths = [volumes / f"{name}{ending}" for name in ("mri", "pet")]
        assert run("fuse", *paths, "--colour", "-o", volumes / f"fused{ending}") == 0
    found = nib.load(volumes / "fused_las.nii")
    assert nib.aff2axcodes(found.affine) == ("L", "A", "S")
    assert np.allclose(nib.as_closest_canonical(found).affine, ras.affine)
    voxels = np.asarray(found.dataobj)
    assert np.array_equal(voxels[::-1], np.asarray(nib.load(volumes / "fused.nii.gz").dataobj))


def test_two_slices_in_colour_and_their_key(tmp_path):
    gray = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (40, 1))
    for name, image in (("mri", gray), ("pet", gray[::-1, ::-1])):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    out = tmp_path / "out" / "fused.png"
    assert run("fuse", tmp_path / "mri.png", tmp_path / "pet.png", "--colour", "-o", out) == 0
    with Image.open(out) as picture:
        read = decode_colour(np.asarray(picture))
    assert np.abs(255 * read[0] - gray)[:, 5:].max() <= 6
    assert np.abs(255 * read[1] - gray[::-1, ::-1])[:, :-6].max() <= 3.01
    with Image.open(tmp_path / "out" / "fused_key.png") as key:
        assert key.mode == "RGB"
        assert min(key.size) > 256


def test_two_slices_are_fused(tmp_path):
    gray = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (40, 1))
    colour = np.zeros((40, 50, 3), np.uint8)
    colour[10:30, 10:40] = (200, 200, 0)
    Image.fromarray(gray).save(tmp_path / "mri.png")
    Image.fromarray(colour).save(tmp_path / "pet.png")
    out = tmp_path / "out" / "fused.png"
    words = (tmp_path / "mri.png", tmp_path / "pet.png", "--model", "max", "--gray")
    assert run("fuse", *words, "-o", out) == 0
    expected = gray.copy()
    expected[10:30, 10:40] = np.maximum(gray[10:30, 10:40], 177)
    assert np.array_equal(np.asarray(Image.open(out)), expected)


@pytest.mark.parametrize("link", ["itself", "symlink", "hardlink", "relative", "mask", "sidecar"])
def test_no_input_is_written_over(volumes, capsys, monkeypatch, link):
    mri, pet, mask = (volumes / f"{name}.nii.gz" for name in ("mri", "pet", "mask"))
    shutil.copy(mri, mask)
    (volumes / "pet.json").write_text("{}")
    monkeypatch.chdir(volumes)
    (volumes / "folder").mkdir()
    output = {
        "itself": pet,
        "symlink": volumes / "linked.nii.gz",
        "hardlink": volumes / "second.nii.gz",
        "relative": "folder/../pet.nii.gz",
        "mask": mask,
        "sidecar": volumes / "pet.nii",
    }[link]
    (volumes / "linked.nii.gz").symlink_to("pet.nii.gz")
    (volumes / "second.nii.gz").hardlink_to(pet)
    before = {path: path.read_bytes() for path in volumes.glob("*.*")}
    options = ("--model", "max", "--mask", mask, "--overwrite")
    assert run("fuse", mri, pet, *options, "-o", output) == 64
    error = capsys.readouterr().err
    assert "would replace" in error
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in volumes.glob("*.*")} == before


def test_other_files_are_replaced_only_when_asked(volumes, capsys):
    words = ("fuse", volumes / "mri.nii.gz", volumes / "pet.nii.gz", "--model", "max")
    out = volumes / "fused.nii.gz"
    for there in (out, volumes / "fused.json"):
        there.write_text("mine")
        assert run(*words, "-o", out) == 1
        error = capsys.readouterr().err
        assert f"{there} exists" in error
        assert "--overwrite" in error
        assert error.count("\n") == 1
        assert there.read_text() == "mine"
        assert run(*words, "-o", out, "--overwrite") == 0
        assert nib.load(out).shape == (24, 26, 20)
        out.unlink()
        (volumes / "fused.json").unlink()


def test_pictures_of_other_formats_are_fused(tmp_path):
    gray = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (40, 1))
    Image.fromarray(257 * gray.astype(np.uint16)).save(tmp_path / "mri.tif")
    rgba = np.full((40, 50, 4), 255, np.uint8)
    rgba[:, 25:, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "pet.PNG")
    out = tmp_path / "fused.PNG"
    assert run("fuse", tmp_path / "mri.tif", tmp_path / "pet.PNG", "--model", "max", "-o", out) == 0
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        fused = np.asarray(picture)
    assert (fused[:, :25] == 255).all()
    assert np.array_equal(fused[:, 26:], gray[:, 26:])
    sidecar = json.loads((tmp_path / "fused.json").read_text())["FusionModel"]
    methods = [each["Scaling"]["Method"] for each in sidecar["Inputs"]]
    assert methods == ["16-bit gray levels", "8-bit gray levels"]


def test_without_a_mask_the_head_is_fused_not_what_lies_beside_it(tmp_path):
    across, down = np.meshgrid(np.arange(64), np.arange(64))
    distance = np.hypot(across - 32, down - 32)
    mri = np.where(distance < 24, 120 + 40 * np.sin(across / 3), 0).astype(np.uint8)
    pet = np.where(distance < 22, 90 + 2 * down, 0).astype(np.uint8)
    with_square = pet.copy()
    with_square[:6, :6] = 255
    for name, image in (("mri", mri), ("pet", pet), ("square", with_square)):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    fused = []
    for name in ("pet", "square"):
        words = ("fuse", tmp_path / "mri.png", tmp_path / f"{name}.png", "--model", "selfuse")
        assert run(*words, "-o", tmp_path / f"of_{name}.png") == 0
        fused.append(np.asarray(Image.open(tmp_path / f"of_{name}.png")).astype(int))
    assert not fused[1][:8, :8].any()
    assert np.abs(fused[1] - fused[0])[distance < 22].max() <= 1


def test_what_cannot_be_fused_is_said_in_one_line(volumes, capsys):
    mri, pet = volumes / "mri.nii.gz", volumes / "pet.nii.gz"
    small, moved = volumes / "small.nii.gz", volumes / "moved.nii.gz"
    image = nib.load(pet)
    nib.Nifti1Image(image.get_fdata()[:-1], image.affine).to_filename(small)
    nib.Nifti1Image(image.get_fdata(), np.diag([2.0, 2, 3, 1])).to_filename(moved)
    (volumes / "broken.nii.gz").write_bytes(b"broken")
    out = volumes / "fused.nii.gz"
    slice_ = volumes / "slice.png"
    Image.fromarray(np.eye(20, dtype=np.uint8)).save(slice_)
    for name, shape in (("black", (20, 20)), ("large", (20, 30))):
        Image.fromarray(np.full(shape, 9 * (name == "large"), np.uint8)).save(
            volumes / f"{name}.png"
        )
    black, large, png = volumes / "black.png", volumes / "large.png", volumes / "f.png"
    empty, waves, coloured = (volumes / f"{name}.nii" for name in ("empty", "waves", "coloured"))
    nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine).to_filename(empty)
    nib.Nifti1Image(image.get_fdata().astype(np.complex64), image.affine).to_filename(waves)
    rgb24_image(np.ones((*image.shape, 3), np.uint8), image.affine).to_filename(coloured)
    for words, code, message in [
        ((mri, volumes / "none.nii.gz", "-o", out), 1, "there is no file"),
        ((mri, volumes / "broken.nii.gz", "-o", out), 1, "broken.nii.gz"),
        ((mri, small, "-o", out), 1, "not on the grid"),
        ((mri, moved, "-o", out), 1, "not on the grid"),
        ((mri, pet, "-o", volumes / "fused.png"), 64, "all be NIfTI, or all PNG"),
        ((mri, pet, "-o", mri / "fused.nii.gz"), 1, "cannot write"),
        ((mri, waves, "-o", out), 1, "waves.nii holds colours or complex numbers"),
        ((coloured, pet, "-o", out), 1, "coloured.nii holds colours or complex numbers"),
        ((mri, pet, "--mask", empty, "-o", out), 1, "empty.nii is empty"),
        ((slice_, slice_, "--mask", black, "-o", png), 1, "black.png is black everywhere"),
        ((slice_, slice_, "--mask", large, "-o", png), 1, "large.png has 30 x 20 pixels, the MRI"),
        ((slice_, large, "-o", png), 1, "large.png has 30 x 20 pixels, the MRI 20 x 20"),
        ((slice_, slice_, "-o", volumes / "f.jpg"), 64, "f.jpg would lose gray levels"),
        ((slice_, slice_, "--planes", "triplanar", "-o", volumes / "f.png"), 64, "needs volumes"),
    ]:
        assert run("fuse", *words, "--model", "max") == code
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not out.exists()


def test_an_unknown_model_is_refused(volumes, capsys):
    with pytest.raises(SystemExit, match="64"):
        run("fuse", volumes / "mri.nii.gz", volumes / "pet.nii.gz", "--model", "x", "-o", "f.nii")
    assert "densefuse" in capsys.readouterr().err
