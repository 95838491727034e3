"""The register of a user's platforms on this machine: where each has its data, for commands that look for one.

An entry says where to look, and no more. Whether a platform runs there, its lock says, and how it is, its supervisor:
the entry of one that was killed misleads nobody, and goes when somebody looks.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BELOW_STATE_HOME: Final = Path("polystream") / "platforms"
_ENTRIES_MAX: Final = 64  # that are read
_ENTRY_MAX_BYTES: Final = 16 * 1024
_COMPOSE: Final = "compose"  # the engines of a platform in containers


@dataclass(frozen=True, slots=True)
class RegisteredPlatform:
    """One entry."""

    data_dir: Path
    port_offset: int
    engines: str  # the set, or `compose`

    @classmethod
    def in_containers(cls, data_dir: Path, port_offset: int) -> "RegisteredPlatform":
        """Return the entry of a platform that Compose runs."""
        return cls(data_dir, port_offset, _COMPOSE)

    @property
    def is_in_containers(self) -> bool:
        """Whether Compose runs it, and no supervisor."""
        return self.engines == _COMPOSE


class Register:
    """One file for each data folder, in a folder that is its user's alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, platform: RegisteredPlatform) -> None:
        """Write an entry, in one step, in place of an earlier one of the same data folder. Raises OSError."""
        self._make()
        document = {
            "data_dir": str(platform.data_dir),
            "port_offset": platform.port_offset,
            "engines": platform.engines,
        }
        path = self._path(platform.data_dir)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(document, file)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def has(self, data_dir: Path) -> bool:
        """Tell whether a data folder has an entry."""
        return self._path(data_dir).exists()

    def forget(self, data_dir: Path) -> None:
        """Remove the entry of a data folder, if there is one."""
        with suppress(OSError):
            self._path(data_dir).unlink()

    def entries(self) -> tuple[RegisteredPlatform, ...]:
        """Return the entries, 64 at most, in the order of their ports. What can't be read is passed over."""
        if not self._is_own():
            return ()
        try:
            paths = sorted(self.folder.glob("*.json"))[:_ENTRIES_MAX]
        except OSError:
            return ()
        found = filter(None, map(_read, paths))
        return tuple(sorted(found, key=lambda each: (each.port_offset, str(each.data_dir))))

    def _path(self, data_dir: Path) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:32]}.json"

    def _make(self) -> None:
        """Make the folder, unless that would leave root's files with another user. Raises OSError."""
        there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
        if there.stat().st_uid != os.geteuid():
            raise PermissionError(f"{there} belongs to another user")
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)

    def _is_own(self) -> bool:
        try:
            return self.folder.stat().st_uid == os.geteuid()
        except OSError:
            return False


def user_register(environment: Mapping[str, str] = os.environ) -> Register | None:
    """Return the register of this user, below XDG_STATE_HOME or else in the home folder; None without either."""
    home = environment.get("XDG_STATE_HOME", "")
    if home.startswith("/"):
        return Register(Path(home) / _BELOW_STATE_HOME)
    try:
        return Register(Path.home() / ".local" / "state" / _BELOW_STATE_HOME)
    except RuntimeError:  # this user has none
        return None


def _read(path: Path) -> RegisteredPlatform | None:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_ENTRY_MAX_BYTES))
        data_dir, port_offset, engines = (document[name] for name in ("data_dir", "port_offset", "engines"))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if not (isinstance(data_dir, str) and isinstance(engines, str) and type(port_offset) is int):
        return None
    return RegisteredPlatform(Path(data_dir), port_offset, engines)
