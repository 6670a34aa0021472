"""What this process may use of the machine: a container or a batch job has less than there is.

Limits are those of the process's control group (cgroup, version 1 or 2) and of the groups above it
as far as they can be seen, of ``ulimit``, and of the CPUs it may run on. SLURM, PBS, Kubernetes,
Docker and Apptainer set these; their own variables are not read.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

ROOT = Path("/")
BYTES_OF_GB = 1e9
_SHARE_TO_PLAN_WITH = 0.9
# version 1 says "none" by the largest number of whole pages, version 2 by "max"
_NO_LIMIT = 2**60
_UNIFIED = "cgroup2"
_VERSION_1 = "cgroup"
_SHORT_OF_MEMORY = re.compile(
    r"\bMemoryError\b|std::bad_alloc|cannot allocate memory(?! in static TLS)|\[errno 12\]"
    r"|failed to map segment from shared object|unable to allocate|can't start new thread"
    r"|failed to allocate|can't allocate memory|not enough memory|\bout of memory\b"
    r"|memory allocation (?:still )?failed|cannot map zero-fill pages"
    r"|insufficient memory",
    re.IGNORECASE,
)


def cpus(root: Path = ROOT) -> int:
    """How many CPUs this process may use: at least 1, a share of one counted as one.

    Parameters
    ----------
    root
        Where ``/proc`` and ``/sys`` are.
    """
    if hasattr(os, "sched_getaffinity"):
        number = len(os.sched_getaffinity(0))
    else:
        number = os.cpu_count() or 1
    quota = cpu_quota(root)
    return max(1, number if quota is None else min(number, math.ceil(quota)))


def memory_gb(root: Path = ROOT) -> float:
    """How much memory this process may use, in GB (1e9 bytes).

    Parameters
    ----------
    root
        Where ``/proc`` and ``/sys`` are.
    """
    limits = (_physical_memory(root), memory_limit(root), _own_limit())
    return min(limit for limit in limits if limit is not None) / BYTES_OF_GB


def planned_memory_gb(root: Path = ROOT) -> float:
    """How much of :func:`memory_gb` a run plans with, so that other programs have some, too."""
    return max(0.01, round(_SHARE_TO_PLAN_WITH * memory_gb(root), 2))


def cpu_quota(root: Path = ROOT) -> float | None:
    """CPU seconds a second that the control groups allow; None for no limit."""
    found = []
    for group in _groups(root, "cpu"):
        if group.version == 2:
            quota, _, period = _read(group.folder / "cpu.max").partition(" ")
        else:
            quota = _read(group.folder / "cpu.cfs_quota_us")
            period = _read(group.folder / "cpu.cfs_period_us")
        above, below = _positive(quota), _positive(period)
        if above is not None and below is not None:
            found.append(above / below)
    return min(found, default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Bytes that the control groups allow; None for no limit."""
    found = []
    for group in _groups(root, "memory"):
        if group.version == 2:
            # above memory.high a group is slowed down until it hardly moves
            texts = [_read(group.folder / name) for name in ("memory.max", "memory.high")]
        else:
            # the second includes groups above those that a container can see
            statistics = _read(group.folder / "memory.stat")
            above = re.search(r"^hierarchical_memory_limit (\d+)$", statistics, re.MULTILINE)
            texts = [_read(group.folder / "memory.limit_in_bytes"), above[1] if above else ""]
        found += [limit for text in texts if (limit := _positive(text)) is not None]
    return min((limit for limit in found if limit < _NO_LIMIT), default=None)


def resident_gb(pid: int, root: Path = ROOT, *, shared: bool = False) -> float | None:
    """Memory of a process in GB; pages shared with others count in part, where the kernel says so.

    Parameters
    ----------
    pid
        Of the process.
    root
        Where ``/proc`` is.
    shared
        Count shared pages in full, which the kernel tells at once, while it takes milliseconds for
        a part of them.

    Returns
    -------
    float or None
        None where there is no such process, or the system does not tell (not Linux).
    """
    folder = root / "proc" / str(pid)
    rollup = "" if shared else _read(folder / "smaps_rollup")
    share = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    if share is not None:
        return int(share[1]) * 1024 / BYTES_OF_GB
    pages = _read(folder / "statm").split()
    if len(pages) < 2 or not pages[1].isdecimal():
        return None
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / BYTES_OF_GB


def in_container(root: Path = ROOT) -> bool:
    """Whether this process is in a container of Docker, Podman, Apptainer and others."""
    told = ("IS_CONTAINER", "APPTAINER_CONTAINER", "SINGULARITY_CONTAINER", "container")
    marks = (".dockerenv", "run/.containerenv", ".singularity.d")
    return any(map(os.environ.get, told)) or any((root / mark).exists() for mark in marks)


def file_system(path: Path, root: Path = ROOT) -> tuple[str, Path]:
    """The kind of file system that an absolute path is on, e.g. ``tmpfs``, and its mount point.

    Returns
    -------
    kind
        Empty where the system does not tell.
    mounted_at
    """
    found = ("", ROOT)
    for kind, _, mounted_at, _ in _mounts(root):
        here = Path(mounted_at)
        # a later mount hides an earlier one at the same place
        if path.is_relative_to(here) and len(here.parts) >= len(found[1].parts):
            found = (kind, here)
    return found


def address_space_gb() -> float | None:
    """What ``ulimit -v`` allows this process, in GB; None for no limit."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return limit / BYTES_OF_GB if 0 <= limit < _NO_LIMIT else None


def is_short_of_memory(text: str) -> bool:
    """Whether the message of an error, with its class, is about a lack of memory."""
    return _SHORT_OF_MEMORY.search(text) is not None


@dataclass(frozen=True)
class _Group:
    folder: Path
    version: int


def _groups(root: Path, controller: str) -> Iterator[_Group]:
    """The process's own control group of a controller and those above it, as far as mounted."""
    own = _own_paths(root)
    for kind, within, mounted_at, options in _mounts(root):
        if kind == _UNIFIED:
            path, version = own.get("", "/"), 2
        elif kind == _VERSION_1 and controller in options:
            path, version = own.get(controller, "/"), 1
        else:
            continue
        top = root / mounted_at.lstrip("/")
        folder = _inside(top, path, within)
        yield from (_Group(one, version) for one in (folder, *folder.parents) if _is_in(one, top))


def _is_in(folder: Path, top: Path) -> bool:
    return folder == top or top in folder.parents


def _inside(top: Path, path: str, within: str) -> Path:
    """Where the group `path` is below a mount at `top` of the groups from `within` on.

    In a container the path may be that on the host, of which the mount shows only a part.
    """
    parts = PurePosixPath(path).parts
    if ".." in parts:
        # outside of what this namespace shows
        return top
    if within not in ("/", "") and PurePosixPath(path).is_relative_to(within):
        path = str(PurePosixPath(path).relative_to(within))
    folder = top / path.lstrip("/")
    while folder != top and not folder.is_dir():
        folder = folder.parent
    return folder


def _own_paths(root: Path) -> dict[str, str]:
    """The process's control group by controller; version 2 has one, under the empty name."""
    paths: dict[str, str] = {}
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        paths |= dict.fromkeys(controllers.split(","), path)
    return paths


def _mounts(root: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Of each mounted file system: kind, the part that is mounted, where, and its options."""
    for line in _read(root / "proc" / "self" / "mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *others) = before.split(" "), after.split(" ") or [""]
        if len(fields) > 4 and others:
            within, mounted_at = (_plain(field) for field in fields[3:5])
            yield kind, within, mounted_at, others[-1].split(",")


def _plain(field: str) -> str:
    """A path of mountinfo, in which blanks are written as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), field)


def _physical_memory(root: Path) -> int:
    told = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc" / "meminfo"), re.MULTILINE)
    if told is not None:
        return int(told[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _own_limit() -> int | None:
    """What ``ulimit -v`` or ``-d`` allows each process, as Grid Engine limits a job."""
    import resource

    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return min((one for one in limits if 0 < one < _NO_LIMIT), default=None)


def _positive(text: str) -> int | None:
    """A number above 0; None for ``max``, -1 and whatever else means no limit."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and int(text) > 0 else None


def _read(path: Path) -> str:
    """A file of the system; empty where it cannot be read, which limits nothing."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
