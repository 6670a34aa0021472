"""Limits of control groups, on trees made here and, where possible, on this machine."""

import os
import resource
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fusionprep import machine

GB = 10**9
V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
NONE_V1 = "9223372036854771712"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def v2(root: Path, own: str, files: dict[str, str], mount: str = V2_MOUNT) -> Path:
    """A tree of version 2 with a process in the group `own`."""
    told = {"/proc/self/cgroup": f"0::{own}", "/proc/self/mountinfo": mount}
    return write(root, told | {f"/sys/fs/cgroup/{name}": text for name, text in files.items()})


def v1(root: Path, own: str, files: dict[str, str], within: str = "/") -> Path:
    """A tree of version 1, the way Docker and SLURM have it."""
    mounts = [
        f"33 30 0:30 {within} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
        f"34 30 0:31 {within} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
    ]
    own_groups = f"9:name=systemd:/x\n4:cpu,cpuacct:{own}\n3:memory:{own}\n"
    told = {"/proc/self/cgroup": own_groups, "/proc/self/mountinfo": "\n".join(mounts)}
    return write(root, told | {f"/sys/fs/cgroup/{name}": text for name, text in files.items()})


def hybrid(root: Path, *_: object) -> Path:
    """Version 1 for memory and CPUs beside an empty tree of version 2."""
    v1(root, "/job", {"memory/job/memory.limit_in_bytes": "3000000000"})
    info = root / "proc/self/mountinfo"
    unified = "35 30 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    info.write_text(f"{info.read_text()}{unified}\n")
    groups = root / "proc/self/cgroup"
    groups.write_text(f"{groups.read_text()}0::/elsewhere\n")
    return write(root, {"/sys/fs/cgroup/unified/cgroup.procs": "1"})


TREES: dict[str, tuple[Callable[[Path], Path], int | None, float | None]] = {
    "v2-none": (
        lambda r: v2(r, "/a", {"a/memory.max": "max", "a/cpu.max": "max 100000"}), None, None
    ),
    "v2-own": (
        lambda r: v2(r, "/a", {"a/memory.max": f"{3 * GB}", "a/cpu.max": "150000 100000"}),
        3 * GB, 1.5,
    ),
    "v2-parent-is-smaller": (
        lambda r: v2(r, "/job/step", {
            "job/memory.max": f"{2 * GB}", "job/step/memory.max": "max",
            "job/cpu.max": "50000 100000", "job/step/cpu.max": "400000 100000",
        }),
        2 * GB, 0.5,
    ),
    "v2-child-is-smaller": (
        lambda r: v2(r, "/job/step", {
            "job/memory.max": f"{4 * GB}", "job/step/memory.max": f"{GB}",
        }),
        GB, None,
    ),
    "v2-high": (
        lambda r: v2(r, "/a", {"a/memory.max": f"{4 * GB}", "a/memory.high": f"{3 * GB}"}),
        3 * GB, None,
    ),
    "v2-namespace": (
        lambda r: v2(r, "/", {"memory.max": f"{2 * GB}", "cpu.max": "100000 100000"}), 2 * GB, 1.0
    ),
    "v2-path-of-the-host": (
        lambda r: v2(r, "/system.slice/docker-1.scope", {"memory.max": f"{2 * GB}"}), 2 * GB, None
    ),
    "v2-path-half-there": (
        lambda r: v2(r, "/job/step_0/task", {"job/memory.max": f"{2 * GB}"}), 2 * GB, None
    ),
    "v2-outside-of-the-namespace": (
        lambda r: v2(r, "/../other", {"memory.max": f"{2 * GB}"}), 2 * GB, None
    ),
    "v2-part-is-mounted": (
        lambda r: v2(
            r, "/docker/1/in", {"in/memory.max": f"{GB}", "memory.max": f"{2 * GB}"},
            V2_MOUNT.replace(" / ", " /docker/1 "),
        ),
        GB, None,
    ),
    "v2-garbage": (
        lambda r: v2(r, "/a", {"a/memory.max": "lots", "a/cpu.max": "many"}), None, None
    ),
    "v2-empty": (lambda r: v2(r, "/a", {"a/memory.max": "", "a/cpu.max": ""}), None, None),
    "v2-zeros": (lambda r: v2(r, "/a", {"a/memory.max": "0", "a/cpu.max": "0 0"}), None, None),
    "v2-binary": (lambda r: v2(r, "/a", {"a/memory.max": "\x00\x01"}), None, None),
    "v2-elsewhere": (
        lambda r: write(v2(r, "/a", {}, V2_MOUNT.replace("/sys/fs/cgroup", "/my\\040groups")), {
            "/my groups/a/memory.max": f"{GB}",
        }),
        GB, None,
    ),
    "v1-none": (
        lambda r: v1(r, "/a", {
            "memory/a/memory.limit_in_bytes": NONE_V1, "cpu,cpuacct/a/cpu.cfs_quota_us": "-1",
            "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
        }),
        None, None,
    ),
    "v1-own": (
        lambda r: v1(r, "/a", {
            "memory/a/memory.limit_in_bytes": f"{3 * GB}",
            "cpu,cpuacct/a/cpu.cfs_quota_us": "100000",
            "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
        }),
        3 * GB, 1.0,
    ),
    "v1-docker": (
        lambda r: v1(r, "/docker/12ab", {"memory/memory.limit_in_bytes": f"{2 * GB}"},
                     within="/docker/12ab"),
        2 * GB, None,
    ),
    "v1-slurm": (
        lambda r: v1(r, "/slurm/uid_7/job_8/step_0", {
            "memory/slurm/uid_7/job_8/memory.limit_in_bytes": f"{4 * GB}",
            "memory/slurm/uid_7/job_8/step_0/memory.limit_in_bytes": NONE_V1,
            "memory/slurm/uid_7/memory.limit_in_bytes": NONE_V1,
        }),
        4 * GB, None,
    ),
    "v1-limit-above-the-namespace": (
        lambda r: v1(r, "/", {
            "memory/memory.limit_in_bytes": NONE_V1,
            "memory/memory.stat": f"cache 7\nhierarchical_memory_limit {2 * GB}\ntotal_rss 1",
        }),
        2 * GB, None,
    ),
    "hybrid": (hybrid, 3 * GB, None),
    "no-groups": (lambda r: r, None, None),
    "no-mountinfo": (lambda r: write(r, {"/proc/self/cgroup": "0::/a"}), None, None),
    "broken-mountinfo": (
        lambda r: v2(r, "/a", {"a/memory.max": f"{GB}"}, "30 23\n\n - \n1 2 3 4 5 - cgroup2"),
        None, None,
    ),
    "folders-in-place-of-files": (
        lambda r: write(v2(r, "/a", {}), {
            "/sys/fs/cgroup/a/memory.max/x": "1", "/sys/fs/cgroup/a/cpu.max/x": "1",
        }),
        None, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_limits_of_a_tree(name, tmp_path):
    make, memory, quota = TREES[name]
    root = make(tmp_path)
    assert machine.memory_limit(root) == memory
    assert machine.cpu_quota(root) == quota


def test_the_smallest_of_machine_and_group_counts(tmp_path):
    root = v2(tmp_path, "/a", {"a/memory.max": f"{3 * GB}", "a/cpu.max": "10000 100000"})
    write(root, {"/proc/meminfo": "MemTotal:       16000000 kB\nMemFree: 1 kB"})
    assert machine.memory_gb(root) == 3.0
    assert machine.cpus(root) == 1
    write(root, {"/proc/meminfo": "MemTotal:       1000000 kB"})
    assert machine.memory_gb(root) == 1.024


def test_more_than_there_is_limits_nothing(tmp_path):
    root = v2(tmp_path, "/a", {"a/memory.max": f"{10**6 * GB}", "a/cpu.max": "99900000 100000"})
    assert machine.memory_gb(root) == machine.memory_gb(tmp_path / "nothing")
    assert machine.cpus(root) == len(os.sched_getaffinity(0))


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_limit_that_may_not_be_read_is_none(tmp_path):
    root = v2(tmp_path, "/a", {"a/memory.max": f"{GB}"})
    (root / "sys/fs/cgroup/a/memory.max").chmod(0)
    assert machine.memory_limit(root) is None


def test_ulimit_counts():
    code = "from fusionprep.machine import memory_gb; print(memory_gb())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (GB, GB)),
    )
    assert float(done.stdout) == 1.0


def test_memory_of_a_process():
    assert 0.001 < machine.resident_gb(os.getpid()) < 100
    assert machine.resident_gb(2**30) is None


def test_memory_of_a_process_by_its_pages(tmp_path):
    root = write(tmp_path, {"/proc/5/statm": "900 250 30 1 0 80 0"})
    assert machine.resident_gb(5, root) == 250 * os.sysconf("SC_PAGE_SIZE") / 1e9
    write(root, {"/proc/5/smaps_rollup": "Rss:  3000 kB\nPss:   2000 kB\nPss_Anon: 1 kB"})
    assert machine.resident_gb(5, root) == 2000 * 1024 / 1e9
    assert machine.resident_gb(5, root, shared=True) == 250 * os.sysconf("SC_PAGE_SIZE") / 1e9


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group of this machine with 1 GB."""
    name = f"fusionprep-test-{uuid.uuid4().hex[:8]}"
    for top, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        folder = Path("/sys/fs/cgroup", top, name)
        try:
            folder.mkdir()
        except OSError:
            continue
        try:
            (folder / limit).write_text("1000000000")
            yield folder
            return
        except OSError:
            continue
        finally:
            folder.rmdir()
    pytest.skip("no control group with a limit can be made here")


def test_a_group_of_this_machine(group):
    code = (
        "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid()))\n"
        "from fusionprep.machine import memory_gb; print(memory_gb())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(group / "cgroup.procs")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MemoryError", True),
        ("MemoryError: Unable to allocate 3.73 GiB for an array", True),
        ("ImportError: libtorch_cpu.so: failed to map segment from shared object", True),
        ("RuntimeError: std::bad_alloc", True),
        ("OSError: [Errno 12] Cannot allocate memory: 'x'", True),
        ("RuntimeError: can't start new thread", True),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory", True),
        ("itk::ERROR: Failed to allocate memory for image.", True),
        ("ImportError: cannot allocate memory in static TLS block", False),
        ("ValueError: memory of a goldfish", False),
        ("OSError: [Errno 28] No space left on device", False),
        ("OSError: [Errno 122] Disk quota exceeded", False),
    ],
)  # fmt: skip
def test_messages_about_memory(text, expected):
    assert machine.is_short_of_memory(text) is expected
