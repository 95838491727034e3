"""The lock of an engine's files: `deploy/native/NAME.sha256`, in the form of `sha256sum`.

`python -m stack.engines.native.lock` writes the locks anew, after a version in a pom was changed: it trusts what
Maven brings at that moment, so compare the difference before committing it. Arguments are the names of engines; with
`--poms FOLDER` they are those of another folder, which has its own `pom.xml`, and its locks beside it.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

POMS: Final = Path(__file__).resolve().parents[3] / "deploy" / "native"
ARCHIVE_SUFFIX: Final = ".tar.gz"


@dataclass(frozen=True, slots=True)
class Lock:
    """Every file that an engine is made of, and what each must hash to."""

    name: str  # of the engine
    file: Path  # the lock itself
    hashes: dict[str, str]  # SHA-256 in hexadecimal, by path relative to the engine's folder
    digest: str  # of the lock: names the folder in the cache

    @classmethod
    def read(cls, name: str, poms: Path | None = None) -> Self:
        """Read the lock of an engine: of the platform's own, unless `poms` is the folder of another one."""
        file = (poms or POMS) / f"{name}.sha256"
        text = file.read_text(encoding="ascii")
        pairs = (line.split("  ", 1) for line in text.splitlines() if line)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cls(name, file, {path: value for value, path in pairs}, digest)

    @property
    def archives(self) -> list[str]:
        """The files that are unpacked, and not kept."""
        return [path for path in self.hashes if path.endswith(ARCHIVE_SUFFIX)]

    @property
    def kept(self) -> list[str]:
        """The files that the engine runs from."""
        return [path for path in self.hashes if not path.endswith(ARCHIVE_SUFFIX)]

    def wrong(self, folder: Path, paths: Sequence[str]) -> list[str]:
        """Return those of `paths` that are missing in a folder, or are other files than the lock's."""
        return [path for path in paths if sha256(folder / path) != self.hashes[path]]

    def added(self, folder: Path) -> list[str]:
        """Return the files in a folder that the lock does not know: they would be loaded all the same."""
        return sorted({path for path in files_in(folder) if path not in self.hashes})


def sha256(file: Path) -> str:
    """Return the hash of a file's content, empty for one that is not there."""
    if not file.is_file():
        return ""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def files_in(folder: Path) -> list[str]:
    """Return the relative paths of all files below a folder."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()]


def write_locks(names: Sequence[str], poms: Path) -> None:
    """Ask Maven for the files of the engines and write down what came. Raises StackError."""
    from stack.engines.native import maven  # noqa: PLC0415 - fetching needs it, reading does not

    with tempfile.TemporaryDirectory() as scratch:
        staging = Path(scratch)
        maven.copy_dependencies(names, staging, print, poms)
        for name in names:
            archives = {
                path: sha256(staging / name / path)
                for path in files_in(staging / name)
                if path.endswith(ARCHIVE_SUFFIX)
            }
            maven.unpack(staging / name, list(archives))
            hashes = archives | {path: sha256(staging / name / path) for path in files_in(staging / name)}
            lines = [f"{value}  {path}\n" for path, value in sorted(hashes.items())]
            (poms / f"{name}.sha256").write_text("".join(lines), encoding="ascii")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stack.engines.native.lock")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--poms", type=Path, default=POMS)
    arguments = parser.parse_args()
    write_locks(
        arguments.names or sorted(pom.parent.name for pom in arguments.poms.glob("*/pom.xml")), arguments.poms.resolve()
    )
