"""Inheritance of sidecars, and broken ones."""

import gzip
import os

import pytest

from fusionprep.bids.sidecars import FRAME_TABLE, read_metadata, still_true
from fusionprep.errors import DataError
from tests.bids.skeleton import plans_of, write_dataset, write_json

PET = "sub-01/ses-a/pet/sub-01_ses-a_trc-FDG_run-1_pet.nii.gz"


def test_the_nearer_sidecar_wins_key_by_key(tmp_path):
    root = write_dataset(tmp_path, PET)
    write_json(root / "pet.json", {"A": "root", "B": "root", "C": "root", "D": "root"})
    write_json(root / "trc-FDG_pet.json", {"B": "root tracer", "C": "root tracer"})
    write_json(root / "sub-01/sub-01_pet.json", {"C": "subject"})
    write_json(root / PET.replace(".nii.gz", ".json"), {"D": "image"})
    expected = {"A": "root", "B": "root tracer", "C": "subject", "D": "image"}
    assert read_metadata(root / PET, root) == expected


@pytest.mark.parametrize(
    "other",
    [
        "trc-PIB_pet.json",
        "T1w.json",
        "task-rest_pet.json",
        "sub-01/ses-a/pet/sub-01_ses-a_trc-FDG_run-2_pet.json",
        "sub-01/ses-b/pet/sub-01_ses-b_pet.json",
        "sub-01/ses-a/dataset_description.json",
    ],
)
def test_sidecars_of_other_images_do_not_apply(tmp_path, other):
    root = write_dataset(tmp_path, PET)
    write_json(root / other, {"Units": "wrong"})
    assert read_metadata(root / PET, root) == {}


def test_suffix_of_ct_is_compared_in_any_case(tmp_path):
    root = write_dataset(tmp_path, "sub-01/CT/sub-01_CT.nii.gz")
    write_json(root / "ct.json", {"Manufacturer": "X"})
    assert read_metadata(root / "sub-01/CT/sub-01_CT.nii.gz", root) == {"Manufacturer": "X"}


@pytest.mark.parametrize("content", [b"{\n not json", b"[1, 2]", b"\xff\xfe\x00", b""])
def test_a_broken_sidecar_is_one_clear_line(tmp_path, content):
    root = write_dataset(tmp_path, PET)
    sidecar = root / "sub-01/sub-01_pet.json"
    sidecar.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_metadata(root / PET, root)
    assert str(sidecar) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    root = write_dataset(tmp_path, PET)
    (root / "pet.json").write_bytes(b'\xef\xbb\xbf{"Units": "Bq/mL"}')
    assert read_metadata(root / PET, root) == {"Units": "Bq/mL"}


def test_a_broken_sidecar_hurts_only_its_images(tmp_path):
    root = write_dataset(
        tmp_path,
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/pet/sub-01_trc-FDG_pet.nii.gz",
        "sub-01/pet/sub-01_trc-PIB_pet.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "sub-02/pet/sub-02_pet.nii.gz",
    )
    broken = root / "sub-01/pet/sub-01_trc-PIB_pet.json"
    broken.write_text("{", encoding="utf-8")
    plans = plans_of(root)
    assert [p.image.entities["trc"] for p in plans["01"].pairings] == ["FDG"]
    assert [p.kind for p in plans["01"].problems] == ["data"]
    assert str(broken) in plans["01"].problems[0].message
    assert len(plans["02"].pairings) == 1
    assert not plans["02"].problems


def test_a_table_beside_a_pet_is_kept_with_its_metadata(tmp_path):
    root = write_dataset(tmp_path, PET, PET.replace("run-1", "run-2"), sidecar={"Units": "Bq/mL"})
    path = root / PET.replace(".nii.gz", ".tsv")
    path.write_bytes(b"\xef\xbb\xbfFrame\tDuration\r\n1\t60\r\n\r\n2\t120\r\n")
    metadata = read_metadata(root / PET, root)
    rows = [{"Frame": "1", "Duration": "60"}, {"Frame": "2", "Duration": "120"}]
    assert metadata == {"Units": "Bq/mL", FRAME_TABLE: {"Path": str(path), "Rows": rows}}
    assert still_true(metadata) == {}
    assert FRAME_TABLE not in read_metadata(root / PET.replace("run-1", "run-2"), root)


def test_tables_that_are_no_table_of_frames_are_not_read(tmp_path):
    ct = "sub-01/ct/sub-01_ct.nii.gz"
    root = write_dataset(tmp_path, PET, ct)
    for path in (ct, PET.replace("_pet", "_blood"), "sub-01/ses-a/pet/sub-01_ses-a_pet"):
        (root / path.replace(".nii.gz", "")).with_suffix(".tsv").write_text("start\n0\n", "utf-8")
    (root / PET.replace(".nii.gz", ".tsv")).write_text("start\tduration\n", "utf-8")
    assert read_metadata(root / PET, root) == {}
    assert read_metadata(root / ct, root) == {}


def test_a_table_without_end_is_one_clear_line(tmp_path):
    root = write_dataset(tmp_path, PET)
    (root / PET.replace(".nii.gz", ".tsv")).write_bytes(b"start\n" + b"x" * 200_000)
    with pytest.raises(DataError, match="not a table"):
        read_metadata(root / PET, root)


def test_a_table_that_is_no_text_is_one_clear_line(tmp_path):
    root = write_dataset(tmp_path, PET)
    table = root / PET.replace(".nii.gz", ".tsv")
    table.write_bytes(gzip.compress(b"start\tduration\n" + bytes(range(256)) * 9, mtime=0))
    with pytest.raises(DataError, match="not text"):
        read_metadata(root / PET, root)


def test_a_table_that_cannot_be_read_is_one_clear_line(tmp_path):
    root = write_dataset(tmp_path, PET)
    table = root / PET.replace(".nii.gz", ".tsv")
    table.write_text("start\n0\n", "utf-8")
    table.chmod(0)
    if os.access(table, os.R_OK):
        pytest.skip("root reads everything")
    with pytest.raises(DataError, match="cannot read the table"):
        read_metadata(root / PET, root)


ANNEX = ".git/annex/objects/x/MD5E-s20--5d41402abc4b2a76b9719d911017c592"
POINTERS = [
    "/annex/objects/MD5E-s20--5d41402abc4b2a76b9719d911017c592.tsv\n",
    f"../../../{ANNEX}",
    f"../../../{ANNEX}".replace("/", "\\"),
    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 20\n",
]


@pytest.mark.parametrize("ending", [".json", ".tsv"])
@pytest.mark.parametrize("content", [None, *POINTERS, ""])
def test_a_sidecar_or_table_that_was_not_fetched_fails_its_image_alone(tmp_path, ending, content):
    first, second = "sub-01/pet/sub-01_run-1_pet.nii.gz", "sub-01/pet/sub-01_run-2_pet.nii.gz"
    root = write_dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", first, second)
    broken = root / first.replace(".nii.gz", ending)
    if content is None:
        broken.symlink_to(f"../../{ANNEX}")
    else:
        broken.write_text(content, "utf-8")
    (plan,) = plans_of(root).values()
    assert [pairing.image.path.name for pairing in plan.pairings] == [second.rsplit("/")[-1]]
    (problem,) = plan.problems
    assert ("is an empty file" if content == "" else "not fetched yet?") in problem.message
    assert str(broken) in problem.message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
def test_other_encodings_of_unicode_are_read(tmp_path, encoding):
    root = write_dataset(tmp_path, PET)
    sidecar = root / PET.replace(".nii.gz", ".json")
    sidecar.write_text('{"Units": "Bq/mL", "Site": "Zürich"}', encoding)
    table = sidecar.with_suffix(".tsv")
    table.write_text("start\tduration\r\n0\t60\r\n", encoding, newline="")
    rows = [{"start": "0", "duration": "60"}]
    expected = {"Units": "Bq/mL", "Site": "Zürich", FRAME_TABLE: {"Path": str(table), "Rows": rows}}
    assert read_metadata(root / PET, root) == expected


def test_fields_of_the_frames_and_of_the_raw_image_are_dropped():
    raw = {
        "TracerName": "FDG",
        "InjectedRadioactivity": 185,
        "FrameDuration": [60, 60],
        "FrameTimesStart": [0, 60],
        "Units": "Bq/mL",
        "IntendedFor": "x",
        "SkullStripped": True,
    }
    assert still_true(raw) == {"TracerName": "FDG", "InjectedRadioactivity": 185}
    assert len(raw) == 7
