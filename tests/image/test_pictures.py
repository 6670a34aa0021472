import numpy as np
import pytest
from PIL import Image
from skimage.io import imsave

from fusionprep.errors import DataError, NoInputError
from fusionprep.image.pictures import (
    is_picture,
    read_colormap,
    read_gray,
    read_level,
    read_luminance,
)


def test_luminance_is_bt601(tmp_path):
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 0], rgb[0, 1], rgb[1, 0], rgb[1, 1] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)
    imsave(tmp_path / "colour.png", rgb, check_contrast=False)
    assert read_luminance(tmp_path / "colour.png").tolist() == [[76, 150], [29, 9]]


def test_gray_images_are_read_as_they_are(tmp_path):
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    imsave(tmp_path / "gray.png", gray, check_contrast=False)
    assert np.array_equal(read_luminance(tmp_path / "gray.png"), gray)


def test_unreadable_images_are_named(tmp_path):
    with pytest.raises(NoInputError, match=r"none\.png"):
        read_luminance(tmp_path / "none.png")
    (tmp_path / "broken.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"broken\.png"):
        read_luminance(tmp_path / "broken.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(DataError, match=r"real\.tif does not hold .* 8 or 16 bits \(mode F\)"):
        read_luminance(tmp_path / "real.tif")
    pages = [Image.fromarray(np.full((4, 4), level, np.uint8)) for level in (1, 2, 3)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"pages\.tif holds 3 images"):
        read_luminance(tmp_path / "pages.tif")


def test_transparent_pixels_are_background(tmp_path):
    rgba = np.full((2, 3, 4), 255, np.uint8)
    rgba[0, :, 3] = 0, 51, 255
    Image.fromarray(rgba).save(tmp_path / "pet.png")
    assert read_luminance(tmp_path / "pet.png").tolist() == [[0, 51, 255], [255, 255, 255]]
    Image.fromarray(rgba[..., 2:], "LA").save(tmp_path / "mri.png")
    assert read_luminance(tmp_path / "mri.png").tolist() == [[0, 51, 255], [255, 255, 255]]
    gray = Image.fromarray(np.array([[0, 90, 200]], np.uint8))
    gray.save(tmp_path / "key.png", transparency=200)
    assert read_luminance(tmp_path / "key.png").tolist() == [[0, 90, 0]]


def test_opaque_alpha_changes_nothing(tmp_path):
    gray = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(np.stack([gray, np.full_like(gray, 255)], -1), "LA").save(tmp_path / "la.png")
    assert np.array_equal(read_luminance(tmp_path / "la.png"), gray)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.TIFF"])
def test_gray_levels_of_16_bits_keep_their_depth(tmp_path, name):
    deep = np.array([[0, 257, 30_000], [65_535, 514, 1]], np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    levels, scaling = read_gray(tmp_path / name)
    assert np.array_equal(levels, deep)
    assert (scaling.low, scaling.high) == (0, 65_535)
    assert read_luminance(tmp_path / name).tolist() == [[0, 1, 117], [255, 2, 0]]


@pytest.mark.parametrize(("brightest", "white"), [(255, 255), (256, 4095), (4095, 4095)])
def test_fewer_bits_in_a_file_of_16_are_not_nearly_black(tmp_path, brightest, white):
    Image.fromarray(np.array([[0, brightest]], np.uint16)).save(tmp_path / "mri.png")
    _, scaling = read_gray(tmp_path / "mri.png")
    assert scaling.high == white


@pytest.mark.parametrize("name", ["a.PNG", "a.jpg", "a.JPEG", "a.tiff"])
def test_pictures_of_other_formats(tmp_path, name):
    gray = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 32, axis=1)
    Image.fromarray(gray).save(tmp_path / name)
    assert is_picture(tmp_path / name)
    assert not is_picture(tmp_path / "a.nii.gz")
    assert np.abs(read_luminance(tmp_path / name).astype(int) - gray).max() <= 3


def test_a_photograph_is_turned_as_viewers_do(tmp_path):
    gray = np.zeros((8, 16), np.uint8)
    gray[:, 8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # half a turn
    Image.fromarray(gray).save(tmp_path / "mri.jpg", exif=exif, quality=95)
    assert np.array_equal(read_luminance(tmp_path / "mri.jpg") > 127, gray[:, ::-1] > 127)


def write_colormap(path):
    """A map of five colours that are not grays: black through blue and red to yellow."""
    colours = np.array([(0, 0, 0), (0, 0, 160), (160, 0, 80), (255, 80, 0), (255, 255, 0)])
    path.write_text("# R,G,B\n" + "\n".join(",".join(map(str, row)) for row in colours))
    return colours


def test_pseudo_colour_is_read_back_as_its_level(tmp_path):
    colours = write_colormap(tmp_path / "map.csv")
    levels = np.array([[0, 1, 2], [3, 4, 1]])
    noise = np.array([[0], [-3], [2], [-1], [-2]])
    rgb = np.clip(colours + noise, 0, 255)[levels].astype(np.uint8)
    imsave(tmp_path / "pet.png", rgb, check_contrast=False)
    found = read_level(tmp_path / "pet.png", read_colormap(tmp_path / "map.csv"))
    assert found.tolist() == np.rint(levels * 255 / 4).astype(int).tolist()


def test_gray_images_have_no_colour_to_look_up(tmp_path):
    write_colormap(tmp_path / "map.csv")
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    imsave(tmp_path / "gray.png", gray, check_contrast=False)
    colours = read_colormap(tmp_path / "map.csv")
    assert np.array_equal(read_level(tmp_path / "gray.png", colours), gray)


@pytest.mark.parametrize("text", ["1,2\n3,4\n", "0,0,0\n0,0,300\n", "a,b,c\n", "1,2,3\n"])
def test_a_table_that_is_no_colour_map_is_named(tmp_path, text):
    (tmp_path / "map.csv").write_text(text)
    with pytest.raises(DataError, match=r"map\.csv"):
        read_colormap(tmp_path / "map.csv")
