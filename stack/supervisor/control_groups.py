"""What the control groups of Linux leave to this process: a container's limits, which the machine's figures don't have.

Both versions are read. A group that is not to be seen from inside a container is the root of what is seen there.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


def memory_left_bytes(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Return how much more memory the tightest group gives; sys.maxsize where none sets a limit."""
    return min((_memory_left_in(folder) for folder in _folders("memory", groups, own)), default=sys.maxsize)


def tasks_left(groups: Path = _GROUPS, own: Path = _OWN) -> int:
    """Return how many more processes and threads the tightest group lets start; sys.maxsize where none has a limit."""
    folders = _folders("pids", groups, own)
    return min((_left(folder, ("pids.max",), ("pids.current",)) for folder in folders), default=sys.maxsize)


def _folders(controller: str, groups: Path, own: Path) -> Iterator[Path]:
    """Yield the folders of the groups that this process is in, for one controller, up to the outermost."""
    try:
        lines = own.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if controllers not in {"", controller} and controller not in controllers.split(","):
            continue
        root = groups / controller if controllers else groups
        folder = root / path.lstrip("/")
        yield from (each for each in (folder, *folder.parents) if each == root or root in each.parents)


def _memory_left_in(folder: Path) -> int:
    left = _left(folder, ("memory.max", "memory.limit_in_bytes"), ("memory.current", "memory.usage_in_bytes"))
    return left if left == sys.maxsize else left + _cache_bytes(folder)


def _cache_bytes(folder: Path) -> int:
    """Return what a group's memory holds of files, and gives back when it is asked to."""
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    figures = dict(line.split(" ", 1) for line in lines if " " in line)
    return int(figures.get("total_inactive_file") or figures.get("inactive_file") or 0)


def _left(folder: Path, limits: tuple[str, ...], uses: tuple[str, ...]) -> int:
    """Return a group's limit less its use; sys.maxsize where it has none."""
    limit, use = _first(folder, limits), _first(folder, uses)
    return sys.maxsize if limit is None or use is None else max(0, limit - use)


def _first(folder: Path, names: tuple[str, ...]) -> int | None:
    """Return the figure of the first of these files that has one."""
    return next((figure for name in names if (figure := _read(folder / name)) is not None), None)


def _read(file: Path) -> int | None:
    """Return a file's figure; None where there is no file, or it says `max`."""
    try:
        return int(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
