"""Running buf on the protos of a checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from contracts import third_party

IMPORTED = "build/protos"  # other people's protos, in a checkout
_FOUND = 100  # how buf ends where it has found something


class BufError(Exception):
    """buf is missing, or failed; its own message is part of this one's."""


def fill_imports(root: Path) -> None:
    """Put other people's protos where ours import them from. Raises ThirdPartyError."""
    third_party.fill(root / IMPORTED, search_path=_search_path())


def run_buf(root: Path, *arguments: str, timeout_s: float, may_find: bool = False) -> bytes:
    """Return what buf writes. Raises BufError where it fails, or finds something and may not."""
    search_path = _search_path()
    buf = shutil.which("buf", path=search_path)
    if buf is None:
        raise BufError("buf is not installed: install the development dependencies")
    done = subprocess.run(  # noqa: S603 # fixed arguments
        [buf, *arguments],
        cwd=root,
        env=os.environ | {"PATH": search_path},
        capture_output=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode not in ({0, _FOUND} if may_find else {0}):
        raise BufError(f"buf {arguments[0]} failed:\n{done.stderr.decode()}{done.stdout.decode(errors='replace')}")
    return done.stdout


def _search_path() -> str:
    # buf's plugins are run by name: those of this interpreter's environment come first.
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
