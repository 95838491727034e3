"""Whether this machine has room for a platform, told before anything is started.

A part that finds none later ends, and is started again and again: the platform would be half there.
"""

import os
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from stack.engines.spec import StackError
from stack.supervisor.control_groups import memory_left_bytes, tasks_left

_MIB: Final = 2**20
_FILES_MAX: Final = 65_536  # more than any part opens; some programs look at every number up to their limit


@dataclass(frozen=True, slots=True)
class Needs:
    """What a platform takes on a set of engines: as it was measured, and some more."""

    memory_bytes: int  # memory of all processes together
    address_space_bytes: int  # address space of the process that reserves most of it (`ulimit -v`)
    first_disk_bytes: int  # disk for a new data folder
    disk_bytes: int  # disk for a data folder that is there already
    files: int  # open files of the process that has most of them (`ulimit -n`)
    tasks: int  # processes and threads (`ulimit -u`)


NEEDS: Final = {
    "embedded": Needs(400 * _MIB, 2048 * _MIB, 256 * _MIB, 64 * _MIB, 256, 200),
    "native": Needs(1200 * _MIB, 4096 * _MIB, 512 * _MIB, 128 * _MIB, 1024, 400),
    "external": Needs(250 * _MIB, 2048 * _MIB, 64 * _MIB, 32 * _MIB, 256, 150),
}


def require_room(data_dir: Path, needs: Needs) -> None:
    """Raise StackError that names what is too little. Lets this process and its children open all files they may."""
    for lack in (*_lacks_of_machine(data_dir, needs), *_lacks_of_limits(needs)):
        raise StackError(f"{lack} Nothing was started.")


def _lacks_of_machine(data_dir: Path, needs: Needs) -> Iterator[str]:
    disk_bytes = needs.disk_bytes if (data_dir / "monitor").exists() else needs.first_disk_bytes
    free_bytes = shutil.disk_usage(data_dir).free
    if free_bytes < disk_bytes:
        yield (
            f"the data folder {data_dir} has {_mib(free_bytes)} free, and {_mib(disk_bytes)} are needed. "
            "Free some space there, or choose another with --data-dir."
        )
    left_bytes = min(psutil.virtual_memory().available + psutil.swap_memory().free, memory_left_bytes())
    if left_bytes < needs.memory_bytes:
        yield (
            f"{_mib(left_bytes)} of memory are left, and {_mib(needs.memory_bytes)} are needed. "
            "End other programs, or give this machine or container more."
        )


def _lacks_of_limits(needs: Needs) -> Iterator[str]:
    address_space_bytes = resource.getrlimit(resource.RLIMIT_AS)[0]
    if 0 <= address_space_bytes < needs.address_space_bytes:
        yield (
            f"a process may have {_mib(address_space_bytes)} of address space, and "
            f"{_mib(needs.address_space_bytes)} are needed. Lift the limit: ulimit -v unlimited."
        )
    files = _allow_files()
    if files < needs.files:
        yield f"a process may open {files} files, and {needs.files} are needed. Raise the limit: ulimit -n 4096."
    file_bytes = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if 0 <= file_bytes < needs.first_disk_bytes:
        yield f"a file may have {_mib(file_bytes)}, which is too little. Lift the limit: ulimit -f unlimited."
    tasks = min(_tasks_left_to_user(), tasks_left())
    if tasks < needs.tasks:
        yield (
            f"{tasks} more processes and threads may be started, and {needs.tasks} are needed. "
            "Raise the limit: ulimit -u, or that of the container."
        )


def _allow_files() -> int:
    """Let this process and its children open as many files as they may; the usual limit of 256 or 1,024 is for users.

    Returns how many that are.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, _FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _FILES_MAX if soft == resource.RLIM_INFINITY else soft


def _tasks_left_to_user() -> int:
    """Return how many more this user may start: the limit counts what runs already, except for root."""
    limit = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    if os.geteuid() == 0 or limit == resource.RLIM_INFINITY:
        return sys.maxsize
    running = psutil.process_iter(["uids", "num_threads"])
    mine = (process.info for process in running if process.info["uids"] and process.info["uids"].real == os.getuid())
    return max(0, limit - sum(info["num_threads"] or 0 for info in mine))


def _mib(count_bytes: int) -> str:
    return f"{count_bytes / _MIB:.0f} MiB"
