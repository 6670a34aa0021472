"""Pictures that are bombs, damaged, no pictures or no files, given to ``fusionprep fuse``."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.faults.attacks import Attack, Scene, in_table, stands
from tests.faults.command import fusionprep, gray, pipe, refused, save

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def scene(tmp_path) -> Scene:
    save(tmp_path / "mri.png")
    save(tmp_path / "good.png", gray(seed=1))
    return Scene(tmp_path, tmp_path / "out", tmp_path / "work")


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png(width: int, height: int, data: bytes = b"", *more: bytes, depth: int = 8) -> bytes:
    """A PNG that claims a size, whatever its data are."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *more, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(chunks)


def zeros(count: int) -> bytes:
    """This many zeros, compressed."""
    packer = zlib.compressobj(9)
    blocks = [packer.compress(bytes(2**20)) for _ in range(count // 2**20)]
    return b"".join([*blocks, packer.flush()])


def tiff(*entries: tuple[int, int, int, int], after: int = 0, data: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory; `after` is where the next one is said to be."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    directory = struct.pack("<H", len(entries)) + rows + struct.pack("<I", after)
    return b"II*\x00" + struct.pack("<I", 8) + directory + data


def plain_tiff(width: int, height: int, **options) -> bytes:
    return tiff(
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
        (273, 4, 1, 0), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height),
        **options,
    )  # fmt: skip


def content(make: bytes | Callable[[], bytes], name: str = "pet.png") -> Callable:
    """Prepare a scene with a file of these bytes as the functional image."""

    def prepare(scene: Scene) -> list[object]:
        path = scene.bids / name
        path.write_bytes(make if isinstance(make, bytes) else make())
        return [path]

    return prepare


def saved(image: np.ndarray, name: str, **options) -> Callable:
    def prepare(scene: Scene) -> list[object]:
        Image.fromarray(image).save(scene.bids / name, **options)
        return [scene.bids / name]

    return prepare


def cut(share: float, name: str = "pet.png", at: int | None = None) -> Callable:
    """A picture that ends early."""

    def prepare(scene: Scene) -> list[object]:
        path = save(scene.bids / name, gray(seed=1))
        whole = path.read_bytes()
        path.write_bytes(whole[: at or int(share * len(whole))])
        return [path]

    return prepare


def flipped(seed: int, name: str) -> Callable:
    """A picture some of whose bytes are others."""

    def prepare(scene: Scene) -> list[object]:
        path = save(scene.bids / name, gray(seed=1))
        whole, rng = bytearray(path.read_bytes()), np.random.default_rng(seed)
        for place in rng.integers(0, len(whole), 20):
            whole[place] = rng.integers(256)
        path.write_bytes(bytes(whole))
        return [path]

    return prepare


def long_text(scene: Scene) -> list[object]:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a" * (8 << 20), zip=True)
    Image.fromarray(gray(seed=1)).save(scene.bids / "pet.png", pnginfo=info)
    return [scene.bids / "pet.png"]


def animated(name: str) -> Callable:
    def prepare(scene: Scene) -> list[object]:
        images = [Image.fromarray(gray(seed=seed)) for seed in (1, 2, 3)]
        images[0].save(scene.bids / name, save_all=True, append_images=images[1:])
        return [scene.bids / name]

    return prepare


def placed(make: Callable[[Path], object], name: str = "pet.png") -> Callable:
    def prepare(scene: Scene) -> list[object]:
        make(scene.bids / name)
        return [scene.bids / name]

    return prepare


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


def good(*options: str) -> Callable:
    return lambda scene: [scene.bids / "good.png", *options]


BOMB = chunk(b"zTXt", b"Comment\0\0" + zeros(200 << 20))
PROFILE = chunk(b"iCCP", b"icc\0\0" + zeros(200 << 20))
ATTACKS = {
    "png-60000": Attack("claims 60000 x 60000", content(png(60000, 60000)), (1,), "too large"),
    "png-wide": Attack("claims 2e9 x 1", content(png(2**31 - 1, 1)), (1,), "too large"),
    "png-12000": Attack("claims 12000 x 12000", content(png(12000, 12000)), (1,), "pixels"),
    "png-7000-black": Attack(
        "49 MB of zeros in 48 kB", content(lambda: png(7000, 7000, zeros(49 << 20))), (1,), "pixels"
    ),
    "png-surplus": Attack(
        "200 MB in 8 x 8 pixels", content(lambda: png(8, 8, zeros(200 << 20))), (0, 1)
    ),
    "png-no-pixels": Attack("0 x 5", content(png(0, 5)), (1,), "pet.png"),
    "png-text-bomb": Attack(
        "200 MB of text in 200 kB", content(png(8, 8, zlib.compress(bytes(72)), BOMB)), (1,), "TEXT"
    ),
    "png-profile-bomb": Attack(
        "200 MB of profile", content(png(8, 8, zlib.compress(bytes(72)), PROFILE)), (0, 1)
    ),
    "png-long-text": Attack("8 MB of text", long_text, (0, 1)),
    "png-no-end": Attack("ends without data", content(png(8, 8)), (1,), "pet.png"),
    "png-half": Attack("half of a picture", cut(0.5), (1,), "truncated|pet.png"),
    "png-header": Attack("ends in its header", cut(0, at=20), (1,), "pet.png"),
    "png-signature": Attack("its first 8 bytes", cut(0, at=8), (1,), "pet.png"),
    "png-chunk-length": Attack(
        "a chunk of 4 GB", content(SIGNATURE + b"\xff\xff\xff\xffIHDR"), (1,), "pet.png"
    ),
    "png-depth": Attack("3 bits", content(png(8, 8, b"x", depth=3)), (1,), "pet.png"),
    "png-animated": Attack("an animated PNG", animated("pet.png"), (1,), "holds 3 images"),
    "gif-as-png": Attack(
        "a GIF called PNG", lambda s: [animated("a.gif")(s)[0].rename(s.bids / "pet.png")], (1,),
        "cannot identify",
    ),
    "gif": Attack("a GIF", animated("pet.gif"), (2, 64), "must all be NIfTI, or all PNG"),
    "eps-as-png": Attack(
        "PostScript, which another program would run", content(b"%!PS-Adobe-3.0 EPSF-3.0\n"
        b"%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"), (1,), "cannot identify",
    ),
    "text-as-png": Attack("text", content(b"not a picture"), (1,), "cannot identify"),
    "empty": Attack("no bytes", content(b""), (1,), "is an empty file"),
    "zeros": Attack("a megabyte of zeros", content(bytes(2**20)), (1,), "cannot identify"),
    "sparse": Attack("a terabyte", placed(sparse), (1,), "1,099,512 MB"),
    "fifo": Attack("a pipe", placed(pipe), (1,), "is a pipe, not a file"),
    "device": Attack("endless", placed(lambda p: p.symlink_to("/dev/zero")), (1,), "a device"),
    "folder": Attack("a folder", placed(Path.mkdir), (1,), "is a folder"),
    "loop": Attack("a link to itself", placed(lambda p: p.symlink_to(p.name)), (64,), "links"),
    "dangling": Attack("a link to nowhere", placed(lambda p: p.symlink_to("no")), (1,), "no file"),
    "tiff-60000": Attack(
        "claims 60000 x 60000", content(plain_tiff(60000, 60000), "pet.tif"), (1,), "too large"
    ),
    "tiff-strip": Attack(
        "a strip beyond the end", content(plain_tiff(40, 40), "pet.tif"), (0, 1)
    ),
    "tiff-ring": Attack(
        "directories in a ring", content(plain_tiff(8, 8, after=8), "pet.tif"), (0, 1)
    ),
    "tiff-no-pixels": Attack("0 x 0", content(plain_tiff(0, 0), "pet.tif"), (1,), "pet.tif"),
    "tiff-no-entries": Attack("no entry", content(tiff(), "pet.tif"), (1,), "pet.tif"),
    "tiff-pages": Attack("three pages", animated("pet.tif"), (1,), "holds 3 images"),
    "tiff-half": Attack("half", cut(0.5, "pet.tif"), (1,), "pet.tif"),
    "tiff-float": Attack(
        "levels that are not whole", saved(gray().astype(np.float32), "pet.tif"), (1,), "mode F"
    ),
    "tiff-not-finite": Attack(
        "NaN", saved(np.full((9, 9), np.nan, np.float32), "pet.tif"), (1,), "mode F"
    ),
    "jpeg-half": Attack("half", cut(0.5, "pet.jpg"), (1,), "truncated"),
    "jpeg-header": Attack("20 bytes", cut(0, "pet.jpg", at=20), (1,), "pet.jpg"),
    "jpeg-other-size": Attack(
        "60 x 50", saved(np.full((50, 60), 9, np.uint8), "pet.jpg"), (1,), "60 x 50 pixels"
    ),
    "one-pixel": Attack(
        "1 x 1 beside 40 x 40", saved(np.ones((1, 1), np.uint8), "pet.png"), (1,), "1 x 1 pixels"
    ),
    "mask-pipe": Attack(
        "a pipe as mask", lambda s: [s.bids / "good.png", "--mask", pipe(s.bids / "m.png")], (1,),
        "is a pipe",
    ),
    "no-file": Attack("a name without a file", lambda s: [s.bids / "no.png"], (1,), "no file"),
    "below-a-file": Attack(
        "a name below a file", lambda s: [s.bids / "good.png" / "a.png"], (1,), "no file"
    ),
    **{
        f"flipped-{name[4:]}-{seed}": Attack("some bytes are others", flipped(seed, name), (0, 1))
        for name in ("pet.png", "pet.tif", "pet.jpg")
        for seed in range(6)
    },
}  # fmt: skip

OUTPUTS = {
    "output-folder": Attack(
        "the output is a folder", lambda s: (s.out / "f.png").mkdir(parents=True), (64,), "a folder"
    ),
    "output-below-file": Attack(
        "its folder is a file", lambda s: save(s.out.with_suffix(".png")).rename(s.out), (1,),
        "is not a folder",
    ),
    "output-there": Attack("it exists", lambda s: save(s.out / "f.png"), (1,), "exists"),
    "output-dangling": Attack(
        "it is a link to nowhere",
        lambda s: (s.out.mkdir(), (s.out / "f.png").symlink_to("no")), (1,), "exists",
    ),
    "output-sidecar": Attack(
        "its sidecar is a folder", lambda s: (s.out / "f.json").mkdir(parents=True), (1,), "f.json"
    ),
}  # fmt: skip


@in_table(ATTACKS)
def test_a_picture_that_cannot_be_fused_is_said_in_one_line(attack, scene):
    words = attack.prepare(scene)
    out = scene.out / "fused.png"
    run = fusionprep(scene, "fuse", scene.bids / "mri.png", *words, "--model", "max", "-o", out)
    if run.code:
        refused(run, attack)
        assert not scene.out.exists()
    else:
        stands(run, attack)
        assert out.is_file()


@in_table(OUTPUTS)
def test_a_place_that_cannot_be_written_is_said_in_one_line(attack, scene):
    attack.prepare(scene)
    images = scene.bids / "mri.png", scene.bids / "good.png"
    run = fusionprep(scene, "fuse", *images, "--model", "max", "-o", scene.out / "f.png")
    refused(run, attack)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_disk_that_is_full_leaves_nothing(scene, monkeypatch, failing):
    """Image, sidecar and key of colours belong together."""
    whole, calls = Path.replace, []

    def replace(self, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        return whole(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    images = scene.bids / "mri.png", scene.bids / "good.png"
    run = fusionprep(scene, "fuse", *images, "--colour", "-o", scene.out / "f.png")
    attack = Attack("a full disk", list, (1,), "cannot write .*No space left")
    refused(run, attack)
    assert not list(scene.out.iterdir())
