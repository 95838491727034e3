"""What a process and its children use of the machine."""

import psutil


def memory_bytes(pid: int, *, family: bool = True) -> int | None:
    """Return the memory of a process and its children: its share of shared pages where the system tells it."""
    members = _members(pid) if family else _members(pid)[:1]
    return sum(filter(None, map(_own_memory_bytes, members))) if members else None


def cpu_s(pid: int) -> float | None:
    """Return the processor time that a process and its children have used, in seconds; None where it is gone."""
    spent = [times for member in _members(pid) if (times := _own_cpu_s(member)) is not None]
    return sum(spent) if spent else None


def _members(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _own_memory_bytes(process: psutil.Process) -> int | None:
    try:
        return int(getattr(process.memory_full_info(), "pss", 0)) or int(process.memory_info().rss)
    except psutil.Error:
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended meanwhile
        return None


def _own_cpu_s(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
