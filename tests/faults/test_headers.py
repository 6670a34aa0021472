"""Headers of NIfTI images that lie: each costs its image, by name."""

import gzip
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.faults.cohort import Damage, Subject, dry_run, label_of

NAN, INFINITE = float("nan"), float("inf")
_Change = Callable[[bytes], bytes]


def header(what: str, change: _Change, says: str = "", *, skipped: bool = True) -> Damage:
    """Change the bytes of a PET before compression; it must be skipped, by name, or be taken."""

    def apply(subject: Subject) -> None:
        content = change(gzip.decompress(subject.pet.read_bytes()))
        subject.pet.write_bytes(gzip.compress(content, 1))

    return Damage(what, apply, rf"skipped: .*{says}.*_pet\.nii\.gz" if skipped else "  PET: ")


def written(what: str, says: str, content: bytes, *, name: str = "pet") -> Damage:
    """Put other bytes in place of an image."""

    def apply(subject: Subject) -> None:
        getattr(subject, name).write_bytes(content)

    return Damage(what, apply, rf"skipped: .*{says}")


def field(offset: int, form: str, *values: float) -> _Change:
    """Overwrite a field of a header of NIfTI-1 by its place."""

    def change(content: bytes) -> bytes:
        new = bytearray(content)
        struct.pack_into(f"<{form}", new, offset, *values)
        return bytes(new)

    return change


def dims(*values: int) -> _Change:
    return field(40, f"{len(values)}h", *values)


def by_qform(*changes: _Change) -> _Change:
    """Several changes of a header whose orientation is that of its qform."""

    def change(content: bytes) -> bytes:
        for one in (*changes, field(252, "hh", 1, 0)):
            content = one(content)
        return content

    return change


def extension(size: int) -> _Change:
    """A header extension that says to be of a size, between the header and the voxels."""

    def change(content: bytes) -> bytes:
        told = struct.pack("<ii", size, 4) + b"x" * 8
        moved = struct.pack("<f", 352.0 + len(told))
        start = content[:108] + moved + content[112:348] + b"\1\0\0\0"
        return start + told + content[352:]

    return change


def swap_bytes(subject: Subject) -> None:
    loaded = nib.load(subject.pet)
    swapped = loaded.header.as_byteswapped()
    nib.save(nib.Nifti1Image(np.asarray(loaded.dataobj), loaded.affine, swapped), subject.pet)


def compress_twice(subject: Subject) -> None:
    subject.pet.write_bytes(gzip.compress(subject.pet.read_bytes()))


def decompress(subject: Subject) -> None:
    subject.pet.write_bytes(gzip.decompress(subject.pet.read_bytes()))


def rename(subject: Subject) -> None:
    subject.pet.rename(Path(str(subject.pet).removesuffix(".gz")))


ATTACKS = {
    "no-dimensions": header("dim[0] is 0", dims(0)),
    "nine-dimensions": header("dim[0] is 9", dims(9)),
    "negative-dimensions": header("dim[0] is -3", dims(-3)),
    "one-dimension": header("dim[0] is 1", dims(1, 64), "not a volume"),
    "seven-dimensions": header("dim[0] is 7", dims(7, 4, 4, 4, 1, 2, 2, 2), "6-D"),
    "length-zero": header("an axis of no voxels", dims(3, 4, 0, 4), "not a volume"),
    "length-negative": header("an axis of -4 voxels", dims(3, 4, -4, 4), "not a volume"),
    "length-lowest": header("an axis of -32768", dims(3, -32768, 4, 4), "not a volume"),
    "volumes-zero": header("no volumes", dims(4, 4, 4, 4, 0), "not a volume"),
    "volumes-negative": header("-1 volumes", dims(4, 4, 4, 4, -1), "not a volume"),
    "volumes-many": header("32767 volumes in 64 voxels", dims(4, 4, 4, 4, 32767), "truncated"),
    "offset-beyond": header("voxels begin beyond the end", field(108, "f", 1e6), "truncated"),
    "offset-nan": header("the place of voxels is NaN", field(108, "f", NAN)),
    "offset-infinite": header("the place of voxels is infinite", field(108, "f", INFINITE)),
    "offset-negative": header("voxels begin at -400", field(108, "f", -400.0)),
    "offset-inside": header("voxels begin in the header", field(108, "f", 100.0)),
    "offset-huge": header("voxels begin at 3e38", field(108, "f", 3e38)),
    "size-of-header": header("sizeof_hdr is 1", field(0, "i", 1), skipped=False),
    "size-negative": header("sizeof_hdr is -348", field(0, "i", -348), skipped=False),
    "magic": header("no magic word", field(344, "4s", b"junk")),
    "no-datatype": header("datatype 0", field(70, "hh", 0, 0)),
    "unknown-datatype": header("datatype 12345", field(70, "hh", 12345, 16)),
    "negative-datatype": header("datatype -4", field(70, "hh", -4, 16)),
    "one-bit": header("datatype of one bit", field(70, "hh", 1, 1)),
    "complex": header("complex voxels", field(70, "hh", 32, 64), "plain numbers"),
    "colour": header("colours", field(70, "hh", 128, 24), "plain numbers"),
    "bitpix": header("bitpix that does not fit", field(72, "h", 999), skipped=False),
    "slope-nan": header("a slope of NaN", field(112, "f", NAN), skipped=False),
    "slope-infinite": header("an infinite slope", field(112, "f", INFINITE), skipped=False),
    "intercept-nan": header("an intercept of NaN", field(112, "ff", 1.0, NAN)),
    "intercept-infinite": header("an infinite intercept", field(112, "ff", 2.0, INFINITE)),
    "voxels-nan": header("voxel sizes NaN", by_qform(field(80, "3f", NAN, NAN, NAN))),
    "voxels-infinite": header("voxel sizes infinite", by_qform(field(80, "3f", *[INFINITE] * 3))),
    "voxels-zero": header("voxel sizes zero", by_qform(field(80, "3f", 0, 0, 0)), "zero"),
    "voxels-huge": header("voxel sizes of 1e30", by_qform(field(80, "3f", *[1e30] * 3)), "unit"),
    "sform-nan": header("an sform of NaN", field(280, "12f", *[NAN] * 12), "not finite"),
    "sform-infinite": header("an infinite sform", field(280, "12f", *[INFINITE] * 12)),
    "sform-zero": header("an sform of zeros", field(280, "12f", *[0.0] * 12), "singular"),
    "sform-huge": header("an sform of 1e38", field(280, "12f", *[1e38] * 12)),
    "quaternion-nan": header("a quaternion of NaN", by_qform(field(256, "3f", NAN, NAN, NAN))),
    "quaternion-long": header("a quaternion longer than 1", by_qform(field(256, "3f", 9, 9, 9))),
    "no-orientation": header("both codes 0", field(252, "hh", 0, 0), "no orientation"),
    "codes-wild": header("codes that do not exist", field(252, "hh", -7, 999), "no orientation"),
    "units-wild": header("an unknown code of units", field(123, "B", 255), skipped=False),
    "extension-long": header("an extension longer than the file", extension(2**31 - 16)),
    "extension-negative": header("an extension of -16 bytes", extension(-16)),
    "extension-none": header("an extension of no bytes", extension(0)),
    "extension-odd": header("an extension of 17 bytes", extension(17)),
    "header-only": header("a header without voxels", lambda bytes_: bytes_[:352], "truncated"),
    "half-the-voxels": header("half of the voxels", lambda bytes_: bytes_[:400], "truncated"),
    "all-ones": header("a header of ones", lambda bytes_: b"\xff" * len(bytes_)),
    "all-zeros": header("a header of zeros", lambda bytes_: bytes(len(bytes_))),
    "big-endian": Damage("bytes in the other order", swap_bytes, "  PET: "),
    "not-compressed": Damage(".nii named .nii.gz", decompress, "not compressed: rename"),
    "compressed": Damage(".nii.gz named .nii", rename, "it is compressed: rename"),
    "compressed-twice": Damage("compressed twice", compress_twice, "compressed twice"),
    "empty": written("no bytes", r"empty file.*_pet\.nii\.gz", b""),
    "one-byte": written("one byte", r"_pet\.nii\.gz", b"\x1f"),
    "gzip-magic": written("the first bytes of gzip only", r"_pet\.nii\.gz", b"\x1f\x8b"),
    "gzip-of-nothing": written("gzip of nothing", r"_pet\.nii\.gz", gzip.compress(b"")),
    "half-a-header": written(
        "half a header", r"_T1w\.nii\.gz", gzip.compress(b"\\\1\0\0" * 40), name="t1w"
    ),
    "text": written("text in place of an image", r"_pet\.nii\.gz", b"no image" * 99),
    "html": written("a page in place of an image", r"_T1w\.nii\.gz", b"<html>" * 99, name="t1w"),
    "zip": written("a zip file", "by zip", b"PK\3\4" + bytes(400)),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Mapping[str, str]:
    return dry_run(tmp_path_factory.mktemp("headers"), ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_lying_header_costs_one_image(name, told):
    assert re.search(ATTACKS[name].says, told[label_of(name)]), told[label_of(name)]
