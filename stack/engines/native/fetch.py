"""The engines' files: downloaded once into a cache outside the checkout, and held to their hashes at every start."""

import fcntl
import os
import pwd
import shutil
import tempfile
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from stack.engines.native import maven
from stack.engines.native.lock import Lock
from stack.engines.native.maven import Report
from stack.engines.spec import StackError

_LOCK_TIMEOUT_S: Final = 1800.0
_LOCK_POLL_S: Final = 0.2

_verified: set[Path] = set()  # folders that this process has found right
_provision = threading.Lock()


def silent(_: str) -> None:
    """Report nothing."""


def cache_folder() -> Path:
    """Return the folder that holds the engines of every version."""
    base = os.environ.get("XDG_CACHE_HOME") or _home() / ".cache"
    return Path(base).absolute() / "polystream" / "engines"


def _home() -> Path:
    """Return the user's home; root's own where HOME is another user's, who could not write to what root makes there."""
    named = os.environ.get("HOME", "")
    if os.geteuid() == 0 and os.path.exists(named) and Path(named).stat().st_uid != 0:  # noqa: PTH110 - never raises
        return Path(pwd.getpwuid(0).pw_dir)
    return Path.home()


def engine_folder(name: str, poms: Path | None = None) -> Path:
    """Return the folder of an engine's files, which may not be there yet."""
    return _folder_of(Lock.read(name, poms))


def made_folder(name: str, poms: Path | None = None) -> Path:
    """Return the folder for what is made from an engine's files on this machine."""
    return cache_folder() / f"{name}-{Lock.read(name, poms).digest}.made"


def provide(names: Collection[str], report: Report = silent, poms: Path | None = None) -> None:
    """Make sure that the files of the engines are there, and are those of the locks. Raises StackError.

    `poms` is the folder of the engines' poms and locks, where it is not the platform's own. Safe to call from several
    threads and processes: one downloads, the others wait for it.
    """
    with _provision:
        locks = [Lock.read(name, poms) for name in sorted(names)]
        if not any(_missing(lock, report) for lock in locks):
            return
        with locked(cache_folder() / "lock", report):
            missing = [lock for lock in locks if _missing(lock, report)]
            if missing:
                _fetch(missing, report, poms)


@contextmanager
def locked(file: Path, report: Report) -> Iterator[None]:
    """Hold a lock between processes. Raises StackError where another one keeps it too long."""
    file.parent.mkdir(parents=True, exist_ok=True)
    give_up_s = time.monotonic() + _LOCK_TIMEOUT_S
    told = False
    with file.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    report("engines: waiting for another process that provides them")
                    told = True
                if time.monotonic() > give_up_s:
                    raise StackError(
                        f"another process has held {file} for {_LOCK_TIMEOUT_S / 60:.0f} minutes"
                    ) from None
                time.sleep(_LOCK_POLL_S)
        yield


def _folder_of(lock: Lock) -> Path:
    return cache_folder() / f"{lock.name}-{lock.digest}"


def _missing(lock: Lock, report: Report) -> bool:
    folder = _folder_of(lock)
    if folder in _verified:
        return False
    if not folder.exists():
        return True
    if wrong := [*lock.wrong(folder, lock.kept), *lock.added(folder)]:
        report(f"{lock.name}: {len(wrong)} files are not what they were ({wrong[0]}): fetching all of them again")
        return True
    _verified.add(folder)
    return False


def _fetch(locks: list[Lock], report: Report, poms: Path | None) -> None:
    names = [lock.name for lock in locks]
    report(f"engines: fetching {', '.join(names)}")
    # In the cache itself, so that finished folders can be moved into place.
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="staging-") as scratch:
        staging = Path(scratch)
        maven.copy_dependencies(names, staging, report, poms)
        for lock in locks:
            folder = staging / lock.name
            _require(lock, folder, lock.archives)
            maven.unpack(folder, lock.archives)
            _require(lock, folder, lock.kept)
            for path in lock.added(folder):
                (folder / path).unlink()
            target = _folder_of(lock)
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
            _verified.add(target)
            report(f"{lock.name}: {len(lock.kept)} files, every hash as it should be")


def _require(lock: Lock, folder: Path, paths: list[str]) -> None:
    if wrong := lock.wrong(folder, paths):
        raise StackError(
            f"{lock.name}: {wrong[0]} is not the file that {lock.file} names. "
            "Remove it from the local Maven repository (~/.m2/repository) and try again; if it comes back, the "
            "repository that Maven asks gives another file than was released."
        )
