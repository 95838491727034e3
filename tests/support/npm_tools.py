"""Tools from npm, installed once into a cache outside the checkout, in the versions that package.json names."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

_MANIFESTS: Final = Path(__file__).parents[1] / "tools"
_INSTALL_TIMEOUT_S: Final = 300
_TRIES: Final = 3  # a registry may fail for a moment


def newman() -> Path:
    """Return the path of newman, installed if it is not in the cache. Raises AssertionError where it cannot be had."""
    return npm_folder("node") / "node_modules" / ".bin" / "newman"


def npm_folder(manifest: str) -> Path:
    """Return a folder with what `tests/tools/<manifest>/package.json` names installed below `node_modules`."""
    package = _MANIFESTS / manifest / "package.json"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polystream" / "npm"
    folder = cache / hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        _install(package, folder)
    return folder


def _install(package: Path, folder: Path) -> None:
    npm = shutil.which("npm")
    assert npm, f"{package.parent.name} needs npm: install Node.js 20 or later, for instance with `apt-get install npm`"
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    shutil.copy(package, fresh)
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier"]
    for _ in range(_TRIES):
        done = subprocess.run(
            command, cwd=fresh, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False
        )
        if done.returncode == 0:
            break
    assert done.returncode == 0, f"`npm install` failed:\n{done.stderr}"
    try:
        fresh.rename(folder)
    except OSError:  # another run was first
        shutil.rmtree(fresh)
