"""The register of a user's platforms on this machine: where each has its data, for commands that look for one.

An entry says where to look, and no more. Whether a platform runs there, its lock says; how it is, on which ports and
with which engines, its supervisor. So an entry that is old or invented misleads nobody, and goes when somebody looks.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from stack.supervisor.data_folder import read_regular_file

_BELOW_STATE_HOME: Final = Path("polystream") / "platforms"
_SUFFIX: Final = ".json"
# Those that are looked at. What is no entry, or stale, goes as somebody looks, and hides nothing the next time.
_ENTRIES_MAX: Final = 10_000
_ENTRY_MAX_BYTES: Final = 16 * 1024


class Register:
    """One file for each data folder, in a folder that is its user's alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keep(self, data_dir: Path) -> None:
        """Write the entry of a data folder, in one step, in place of an earlier one. Raises OSError."""
        self._make()
        path = self._path(data_dir)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump({"data_dir": str(data_dir.resolve())}, file)
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

    def data_dirs(self) -> tuple[Path, ...]:
        """Return the data folders that have an entry, in the order of their names.

        A file of this user that is no entry is removed. What is no file, or another user's, is passed over.
        """
        if not self._is_own():
            return ()
        found: list[Path] = []
        for path in self._files():
            try:
                content = read_regular_file(path, _ENTRY_MAX_BYTES, of_user=os.geteuid())
            except ValueError:  # longer than any entry
                content = b""
            except OSError:
                continue
            data_dir = _data_dir(content)
            if data_dir is not None and self._path(data_dir) == path:
                found.append(data_dir)
            else:
                with suppress(OSError):
                    path.unlink()
        return tuple(sorted(found))

    def _files(self) -> tuple[Path, ...]:
        try:
            with os.scandir(self.folder) as there:
                files = (each for each in there if each.name.endswith(_SUFFIX) and each.is_file(follow_symlinks=False))
                return tuple(Path(each.path) for each in islice(files, _ENTRIES_MAX))
        except OSError:
            return ()

    def _path(self, data_dir: Path) -> Path:
        return self.folder / f"{hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:32]}{_SUFFIX}"

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


def _data_dir(content: bytes) -> Path | None:
    """Return the data folder that an entry names, None where it names none that `keep` would write."""
    try:
        named = json.loads(content)["data_dir"]
        os.fsencode(named)  # no name that the system can't have
        # By its one name: a platform must not be found twice.
        return Path(named) if "\0" not in named and os.path.realpath(named) == named else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
