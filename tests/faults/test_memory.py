"""Images that cannot fit into memory, files of forged size, and memory that is not there."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bids_app.failures import MORE_MEMORY, failure_lines, read_failures
from fusionprep import cli
from fusionprep.errors import DataError
from fusionprep.image import size
from fusionprep.image.io import read_frames, read_image
from tests.faults.attacks import Attack, Scene, attempt, in_table, stands
from tests.faults.forged import MEGABYTE, header, packed, pet_of, t1w_of, voxels

SMALL = (8, 8, 8)
LONGEST = 32767
BYTES = 352 + 2 * 8**3


def _t1w(content: bytes, *options: str, plain: bool = False) -> Callable[[Scene], Sequence[str]]:
    """Puts a file in place of the T1w of one subject."""

    def prepare(scene: Scene) -> list[str]:
        path = t1w_of(scene.bids)
        if plain:
            path.unlink()
            path = path.with_suffix("")
        path.write_bytes(content)
        return ["--dry-run", *options]

    return prepare


def _pet(content: bytes, *options: str) -> Callable[[Scene], Sequence[str]]:
    def prepare(scene: Scene) -> list[str]:
        pet_of(scene.bids).write_bytes(content)
        return ["--dry-run", *options]

    return prepare


def _options(*options: str) -> Callable[[Scene], Sequence[str]]:
    return lambda _: ["--dry-run", *options]


def _needs(shape: Sequence[int], *options: str, version: int = 1, plain: bool = False):
    content = header(shape, version=version)
    return _t1w(content if plain else packed(content), *options, plain=plain)


SURPLUS = voxels(SMALL) + bytes(2 * MEGABYTE)
HUGE = "(?s)T1w needs .* GB of memory for its .* voxels, and .* GB are there: .*sub-01_T1w.nii"
MORE = "(?s)the T1w holds more than its header says .*sub-01_T1w.nii"
TRUNCATED = "(?s)the T1w is (truncated|damaged) .*sub-01_T1w.nii"
START = "(?s)cannot read the T1w .*its voxels would begin at byte"
ATTACKS = {
    "header-140-tb": Attack("32767 voxels a side", _needs([LONGEST] * 3), says=HUGE),
    "header-140-tb-plain": Attack(
        "the same, not compressed", _needs([LONGEST] * 3, plain=True), says=HUGE
    ),
    "header-10-tb": Attack("10^4 GB", _needs([LONGEST, LONGEST, 2500]), says=HUGE),
    "header-64-bit": Attack(
        "sides of 2^40 in NIfTI-2", _needs([2**40] * 3, version=2), says=HUGE
    ),
    "header-overflow": Attack(
        "a product beyond 64 bits", _needs([2**62, 4, 4], version=2), says=HUGE
    ),
    "header-wraps-to-0": Attack(
        "a product of 2^64, which is 0 in 64 bits", _needs([2**32, 2**32, 4], version=2), says=HUGE
    ),
    "header-above-mem": Attack(
        "0.58 GB with --mem 0.5", _needs([600, 600, 400], "--mem", "0.5"), says=HUGE
    ),
    "header-below-mem": Attack(
        "0.58 GB with --mem 0.7, and no voxels", _needs([600, 600, 400], "--mem", "0.7"),
        says=TRUNCATED,
    ),
    "pet-140-tb": Attack(
        "a frame of 32767 voxels a side", _pet(packed(header([LONGEST] * 3))),
        says="PET needs .* GB",
    ),
    "pet-many-frames": Attack(
        "2^40 frames", _pet(packed(header([*SMALL, 2**40], version=2))), says="PET is truncated"
    ),
    "pet-frames-forged": Attack(
        "32767 frames, and a trailer that agrees",
        _pet(packed(header([64, 64, 64, LONGEST]) + SURPLUS, 352 + 2 * 64**3 * LONGEST)),
        says="PET is (truncated|damaged)",
    ),
    "gzip-says-more": Attack(
        "a trailer that agrees with a header of 0.4 GB",
        _t1w(packed(header([600, 600, 600]) + SURPLUS, 352 + 2 * 600**3)), says=TRUNCATED,
    ),
    "gzip-holds-less": Attack(
        "a header, no voxels", _t1w(packed(header(SMALL))), says=TRUNCATED
    ),
    "gzip-holds-more": Attack(
        "100 MB after the voxels",
        _t1w(packed(header(SMALL) + voxels(SMALL) + bytes(100 * MEGABYTE))), says=MORE,
    ),
    "gzip-of-many-parts": Attack(
        "the same, as parts that were joined",
        _t1w(packed(header(SMALL) + voxels(SMALL)) + 64 * packed(bytes(MEGABYTE))), says=MORE,
    ),
    "gzip-twice-as-long": Attack(
        "2 MB after the voxels", _t1w(packed(header(SMALL) + SURPLUS)), says=MORE
    ),
    "plain-twice-as-long": Attack(
        "the same, not compressed", _t1w(header(SMALL) + SURPLUS, plain=True), says=MORE
    ),
    "gzip-some-padding": Attack(
        "a little padding, which is harmless",
        _t1w(packed(header(SMALL) + voxels(SMALL) + bytes(512))),
        says="2 images of 2 of 2 subjects to process, 0 problems",
    ),
    **{
        f"voxels-begin-{name}": Attack(
            f"voxels at byte {offset}", _t1w(packed(header(SMALL, offset=offset) + SURPLUS)),
            says=START,
        )
        for name, offset in (("1e9", 1e9), ("1e30", 1e30), ("never", np.inf), ("nan", np.nan),
                             ("before", -4096.0))
    },
    "voxels-begin-64-bit": Attack(
        "voxels at byte 2^62", _t1w(packed(header(SMALL, version=2, offset=2**62))), says=START
    ),
    "voxels-begin-late": Attack(
        "an extension of 200 MB, of which 2 are there",
        _t1w(packed(header(SMALL, offset=2e8) + SURPLUS)), says="(?s)T1w.*sub-01_T1w.nii",
    ),
    "side-negative": Attack("a negative side", _needs([-8, 8, 8]), says="T1w.*sub-01_T1w.nii"),
    "side-zero": Attack("a side of 0", _needs([0, 8, 8]), says="T1w.*sub-01_T1w.nii"),
    "mem-1-kb": Attack(
        "--mem 1K, into which the images of this scene fit", _options("--mem", "1K"),
        says="2 images of 2",
    ),
    "mem-100-bytes": Attack(
        "--mem too small for any image", _options("--mem", "0.0000001"),
        says="0 images of 0 of 2 subjects",
    ),
    "mem-more-than-there-is": Attack(
        "--mem 900T", _options("--mem", "900T"), says="warning: --mem .* is more than the"
    ),
    **{
        f"mem-{name}": Attack(f"--mem {value}", _options(f"--mem={value}"), (64,), "--mem")
        for name, value in (("0", "0"), ("negative", "-1"), ("nan", "nan"), ("inf", "inf"),
                            ("exponent", "1e5"), ("unit", "8X"), ("empty", ""), ("words", "all"))
    },
    **{
        f"nprocs-{name}": Attack(f"--nprocs {value}", _options(f"--nprocs={value}"), (64,), "nproc")
        for name, value in (("0", "0"), ("negative", "-4"), ("half", "0.5"), ("words", "lots"))
    },
}  # fmt: skip


@in_table(ATTACKS)
def test_an_image_that_cannot_be_held_costs_that_image(attack, scene):
    run = attempt(scene, *attack.prepare(scene))
    stands(run, attack)
    if run.code == 0 and "0 images" not in run.stdout and "0 problems" not in run.stdout:
        assert "1 image of 1 of 2 subjects to process" in run.stdout


ERRORS = {
    "main-memory": MemoryError(),
    "main-array": MemoryError("Unable to allocate 9 GiB"),
    "main-library": ImportError("libtorch.so: failed to map segment from shared object"),
    "main-thread": RuntimeError("can't start new thread"),
    "main-fork": OSError(12, "Cannot allocate memory"),
    "main-c++": RuntimeError("std::bad_alloc"),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=list(ERRORS))
def test_too_little_memory_for_the_main_process_is_one_line(error, scene, monkeypatch):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("bids_app.participant.run_participant", fail)
    run = attempt(scene)
    stands(run, Attack("no memory", lambda _: [], (1, 74), "fusionapp: error: too little memory"))
    assert run.stderr.count("\n") == 1


STEPS = {
    "step-memory": "MemoryError",
    "step-array": "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 3.73 GiB",
    "step-file": "MemoryError: reading /a/b.nii (Unable to allocate 3.73 GiB)",
    "step-library": "ImportError: libx.so: failed to map segment from shared object",
    "step-fork": "OSError: [Errno 12] Cannot allocate memory",
    "step-thread": "RuntimeError: can't start new thread",
    "step-c++": "RuntimeError: std::bad_alloc",
    "step-torch": "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory",
    "step-itk": (
        "RuntimeError: Exception thrown in SimpleITK Resample: /x.hxx:190:\n"
        "\tFailed to allocate memory for image."
    ),
    "step-gpu": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
}


@pytest.mark.parametrize("ending", STEPS.values(), ids=list(STEPS))
def test_too_little_memory_for_a_step_comes_with_advice(ending, tmp_path):
    for number, name in enumerate(("register", "segment")):
        text = f"Node: w.sub_01_wf.anatomical_wf.{name}\n\nTraceback:\n\t{ending}\n"
        (tmp_path / f"crash-{number}.txt").write_text(text)
    (line, *_) = failure_lines(read_failures(tmp_path), tmp_path)
    assert "register failed for lack of memory" in line
    assert "/a/b.nii" in line or "/a/b.nii" not in ending
    assert "--device cpu" in line if "CUDA" in ending else MORE_MEMORY in line


@pytest.mark.parametrize(
    "megabytes",
    [pytest.param(size, id=f"ulimit-{size}-mb") for size in (60, 150, 400, 1000)],
)
def test_an_address_space_that_is_too_small_is_one_line(megabytes, scene):
    """OpenBLAS would try to get more for ever."""
    limit = megabytes * 1_000_000
    done = subprocess.run(
        [sys.executable, "-m", "bids_app.run", str(scene.bids), str(scene.out), "participant"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
    assert "ulimit -v allows this process" in done.stderr
    assert done.stderr.count("\n") == 1


READERS = {
    "read-140-tb": (packed(header([LONGEST] * 3)), "needs .* GB"),
    "read-many-frames": (packed(header([512] * 3 + [LONGEST])), "needs .* GB|not enough data"),
    "read-more": (packed(header(SMALL) + SURPLUS), "holds more than its header"),
    "read-more-forged": (packed(header(SMALL) + SURPLUS, BYTES), "holds more|Incorrect length"),
    "read-less-forged": (packed(header(SMALL), BYTES), "corrupt"),
    "read-start": (packed(header(SMALL, offset=1e9) + SURPLUS), "begin at byte"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "says"), READERS.values(), ids=list(READERS))
@pytest.mark.parametrize("read", [read_image, lambda path: list(read_frames(path)[1])])
def test_a_reader_refuses_before_it_reads(content, says, read, tmp_path):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s)x.nii.gz.*({says})|({says}).*x.nii.gz"):
        read(path)


def test_memory_that_is_not_there_names_the_file(tmp_path, monkeypatch):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(packed(header(SMALL) + voxels(SMALL)))
    monkeypatch.setattr(size, "memory_gb", lambda: 1e-7)
    with pytest.raises(DataError, match=r"x.nii.gz needs .* and 1e-07 GB are there"):
        read_image(path)

    def fail(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 3 GiB")

    monkeypatch.setattr("fusionprep.image.io.load_image", fail)
    with pytest.raises(MemoryError, match=r"reading .*x.nii.gz .*Unable to allocate 3 GiB"):
        read_image(path)


@pytest.mark.parametrize(("content", "says"), READERS.values(), ids=[f"fuse-{n}" for n in READERS])
def test_fuse_refuses_them_in_one_line(content, says, tmp_path, capsys):
    path, other = tmp_path / "x.nii.gz", tmp_path / "y.nii.gz"
    path.write_bytes(content)
    other.write_bytes(packed(header(SMALL) + voxels(SMALL)))
    command = ["fuse", str(path), str(other), "-o", str(tmp_path / "z.nii.gz")]
    assert cli.main(command) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "x.nii.gz" in told
    assert not (tmp_path / "z.nii.gz").exists()
