"""Asking Maven for files, with progress."""

import re
import shutil
import tarfile
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from stack.engines.native.downloads import download_environment
from stack.engines.native.java import find_java
from stack.engines.native.lock import POMS
from stack.engines.process import run_following
from stack.engines.spec import CommandLine, StackError

Report = Callable[[str], None]

_GOAL: Final = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"  # its version is in the pom
_TIMEOUT_S: Final = 1800.0
_REPORT_INTERVAL_S: Final = 2.0
_DOWNLOADED: Final = re.compile(r"Downloaded from \S+: \S+\.(?:jar|tar\.gz) \(([\d.]+) (B|kB|MB|GB)")
_BYTES: Final = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
_SHOWN_ERRORS: Final = 3


def copy_dependencies(names: Collection[str], staging: Path, report: Report, poms: Path | None = None) -> None:
    """Put the files of each engine into `staging`/NAME. One Maven does it for all of them, side by side.

    `poms` is the folder of the engines' poms, where it is not the platform's own.

    Raises StackError where there is no Maven, or with what it says.
    """
    program = shutil.which("mvn")
    if program is None:
        raise StackError(
            f"the native engines are fetched with Maven, and there is none. Install it with "
            f"`apt-get install maven`. To fetch: {', '.join(sorted(names))}."
        )
    options = ("-B", "-T", str(max(2, len(names))), "-f", str((poms or POMS) / "pom.xml"), f"-Dstaging={staging}")
    command = CommandLine(
        argv=(program, *options, "-pl", ",".join(sorted(names)), _GOAL),
        env=download_environment() | {"JAVA_HOME": str(find_java().home)},
        cwd=staging,
    )
    download = _Download(report)
    code = run_following(command, download.read, timeout_s=_TIMEOUT_S)
    download.tell()
    if code != 0:
        told = "\n".join(download.errors[:_SHOWN_ERRORS]) or f"it ended with {code}"
        raise StackError(
            f"Maven could not fetch {', '.join(sorted(names))}. Check the network, and its settings in "
            f"~/.m2/settings.xml where a proxy or a mirror is needed. It says:\n{told}"
        )


def unpack(folder: Path, archives: Sequence[str]) -> None:
    """Replace archives in a folder by what is in them."""
    for name in archives:
        with tarfile.open(folder / name) as archive:
            archive.extractall(folder, filter="data")
        (folder / name).unlink()


class _Download:
    """What Maven tells of its downloads."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._count = 0
        self._size_bytes = 0.0
        self._next_report_s = time.monotonic() + _REPORT_INTERVAL_S
        self.errors: list[str] = []

    def read(self, line: str) -> None:
        """Take a line, and report now and then."""
        if line.startswith("[ERROR]"):
            self.errors.append(line.strip())
        elif found := _DOWNLOADED.search(line):
            self._count += 1
            self._size_bytes += float(found[1]) * _BYTES[found[2]]
            if time.monotonic() >= self._next_report_s:
                self._next_report_s = time.monotonic() + _REPORT_INTERVAL_S
                self.tell()

    def tell(self) -> None:
        """Report what has been downloaded, if anything."""
        if self._count:
            self._report(f"engines: {self._count} files, {self._size_bytes / 1e6:.0f} MB downloaded")
