"""The contracts of earlier releases: committed below `schemas/released/`, or read from git.

`python -m contracts.releases VERSION` commits nothing, and writes those of now as that release's: run it when the
version is tagged.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
_RELEASED: Final = "schemas/released"
_DESCRIPTORS: Final = "descriptors.binpb"
_SUFFIX: Final = ".avsc"
_GIT_TIMEOUT_S: Final = 60


class ReleaseError(Exception):
    """A release cannot be read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Contracts:
    """The contracts of one moment."""

    name: str  # of the release
    descriptors: bytes  # a FileDescriptorSet, imports included
    schemas: dict[str, str]  # Avro texts, by the record's full name


def released(root: Path = ROOT) -> list[Contracts]:
    """Return every committed release, oldest first."""
    folders = sorted((root / _RELEASED).iterdir(), key=_version) if (root / _RELEASED).is_dir() else []
    return [
        Contracts(folder.name, (folder / _DESCRIPTORS).read_bytes(), _schemas_in(folder))
        for folder in folders
        if (folder / _DESCRIPTORS).exists()
    ]


def last_tag(root: Path = ROOT) -> str | None:
    """Return the tag of the newest release that is an ancestor of what is checked out; None without one."""
    tags = _git(root, "tag", "--merged", "HEAD", "--list", "v*", "--sort=-version:refname")
    return tags.decode().split("\n", 1)[0] or None if tags is not None else None


def in_git(ref: str, root: Path = ROOT) -> Contracts:
    """Return the contracts of a commit. Raises ReleaseError where it has none."""
    descriptors = _git(root, "show", f"{ref}:gen/{_DESCRIPTORS}")
    names = _git(root, "ls-tree", "--name-only", ref, "schemas/avro/")
    if descriptors is None or names is None:
        raise ReleaseError(
            f"git has no contracts at {ref}: check the name, and fetch it where the clone is shallow "
            f"(git fetch --depth 1 origin {ref})"
        )
    schemas = {
        Path(name).name.removesuffix(_SUFFIX): _git(root, "show", f"{ref}:{name}") for name in names.decode().split()
    }
    return Contracts(ref, descriptors, {record: text.decode() for record, text in schemas.items() if text is not None})


def current(root: Path = ROOT) -> Contracts:
    """Return the contracts as they are generated now."""
    return Contracts("now", (root / "gen" / _DESCRIPTORS).read_bytes(), _schemas_in(root / "schemas" / "avro"))


def write_release(version: str, root: Path = ROOT) -> Path:
    """Write the contracts of now as a release's; return its folder."""
    contracts, folder = current(root), root / _RELEASED / version
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        stale.unlink()
    (folder / _DESCRIPTORS).write_bytes(contracts.descriptors)
    for record, text in contracts.schemas.items():
        (folder / f"{record}{_SUFFIX}").write_text(text, encoding="utf-8")
    return folder


def _schemas_in(folder: Path) -> dict[str, str]:
    return {path.name.removesuffix(_SUFFIX): path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.avsc"))}


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.name.split(".") if part.isdecimal())


def _git(root: Path, *arguments: str) -> bytes | None:
    """Return what git answers; None where it fails, or is not there."""
    try:
        done = subprocess.run(  # noqa: S603 # fixed arguments, but for a ref
            ["git", "-C", str(root), *arguments],  # noqa: S607 # as the user has it
            capture_output=True,
            check=False,
            timeout=_GIT_TIMEOUT_S,
        )
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    (_asked_version,) = sys.argv[1:]
    write_release(_asked_version)
