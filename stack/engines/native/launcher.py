"""Compiling the few lines of Java that start an engine which has no program of its own."""

import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from stack.engines.native.java import class_path, find_java
from stack.engines.native.lock import sha256
from stack.engines.spec import StackError

_COMPILE_TIMEOUT_S: Final = 120.0


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
                command, capture_output=True, text=True, check=False, timeout=_COMPILE_TIMEOUT_S
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
