"""The small disks that the self-check fills: what is in the way of a mount is told, and what fills one goes again."""

import ctypes
import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from cli.verify import small_disk
from cli.verify.disk_faults import DISK_FAULTS
from cli.verify.faults import FAULTS
from cli.verify.platform import VerifiedPlatform
from cli.verify.small_disk import DiskError, SmallDisk, fill

_ROOM_BYTES = 2_500_000


class _FullFile:
    """A file on a disk with little room."""

    def __init__(self, refusal: int = errno.ENOSPC) -> None:
        self.left_bytes = _ROOM_BYTES
        self._refusal = refusal

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, content: bytes) -> int:
        """Take all of it, or nothing."""
        if len(content) > self.left_bytes:
            raise OSError(self._refusal, "refused")
        self.left_bytes -= len(content)
        return len(content)


def test_a_disk_is_filled_to_less_than_a_page() -> None:
    """Else whoever writes little would notice nothing; another error than a full disk is told."""
    file = _FullFile()
    path: Any = SimpleNamespace(open=lambda *_, **__: file)
    fill(path)
    assert file.left_bytes < 4096
    broken: Any = SimpleNamespace(open=lambda *_, **__: _FullFile(errno.EIO))
    with pytest.raises(OSError, match="refused"):
        fill(broken)


def test_there_is_room_again_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was wrong meanwhile."""
    monkeypatch.setattr(small_disk, "fill", lambda filler: filler.write_bytes(b"full"))
    SmallDisk(tmp_path).fill_for(0.01)
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_of_a_mount_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the kernel's own words; then none of these faults is among the possible ones."""
    refused = SimpleNamespace(mount=lambda *_: -1, umount2=lambda *_: -1)
    monkeypatch.setattr(small_disk, "_libc", lambda: refused)
    monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EPERM)
    with pytest.raises(DiskError, match="Operation not permitted"):
        SmallDisk(tmp_path / "monitor").mount()
    assert small_disk.obstacle.__wrapped__() == "no small disk can be mounted: Operation not permitted"
    mounted: list[bytes] = []

    def mount(_source: bytes, target: bytes, *_: object) -> int:
        mounted.append(target)
        return 0

    taken = SimpleNamespace(mount=mount, umount2=lambda *_: 0)
    monkeypatch.setattr(small_disk, "_libc", lambda: taken)
    SmallDisk(tmp_path / "monitor").mount()
    assert mounted == [str(tmp_path / "monitor").encode()]
    assert small_disk.obstacle.__wrapped__() == ""


def test_each_fault_fills_disks_that_its_run_has(tmp_path: Path) -> None:
    """Only where it was chosen is anything on a disk of its own."""
    assert {kind.name for kind in FAULTS.values() if kind.small_disks} == {kind.name for kind in DISK_FAULTS}
    for kind in DISK_FAULTS:
        platform = VerifiedPlatform(tmp_path, "embedded", 1, small_disks=kind.small_disks)
        assert [disk.folder for disk in platform.small_disks.values()] == [
            tmp_path / name for name in sorted(kind.small_disks)
        ]
    assert VerifiedPlatform(tmp_path, "embedded", 1).small_disks == {}
