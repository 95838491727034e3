"""Tools from npm, installed once into a cache outside the checkout, in the versions that package.json names."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Final

from tests.support.bounded import run_bounded
from tests.support.unavailable import UnavailableError, once

_MANIFESTS: Final = Path(__file__).parents[1] / "tools"
_INSTALL_TIMEOUT_S: Final = 300
_TRIES: Final = 3  # a registry may fail for a moment; what has come is kept for the next try
_PATIENCE: Final = ("--fetch-timeout", "20000", "--fetch-retries", "5")  # npm's own five minutes are all there is


def newman() -> Path:
    """Return the path of newman, installed if it is not in the cache. Raises UnavailableError where it can't be had."""
    return npm_folder("node") / "node_modules" / ".bin" / "newman"


def axe() -> Path:
    """Return the path of axe-core's script. Raises UnavailableError where it can't be had."""
    return npm_folder("axe") / "node_modules" / "axe-core" / "axe.min.js"


@once
def npm_folder(manifest: str) -> Path:
    """Return a folder with what `tests/tools/<manifest>/package.json` names installed below `node_modules`.

    Raises UnavailableError where it can't be had.
    """
    package = _MANIFESTS / manifest / "package.json"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polystream" / "npm"
    folder = cache / hashlib.sha256(package.read_bytes()).hexdigest()[:16]
    if not folder.exists():
        _install(package, folder)
    return folder


def _install(package: Path, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        needs = ", ".join(json.loads(package.read_text(encoding="utf-8"))["dependencies"])
        raise UnavailableError(f"{needs}: npm is missing: install Node.js 20 or later, as with `apt-get install npm`")
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    shutil.copy(package, fresh)
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier", *_PATIENCE]
    for _ in range(_TRIES):
        done = run_bounded(command, cwd=fresh, timeout_s=_INSTALL_TIMEOUT_S)
        if done.returncode == 0:
            break
    if done.returncode != 0:
        raise UnavailableError(f"{package.parent.name}: `npm install` failed:\n{done.stderr}")
    try:
        fresh.rename(folder)
    except OSError:  # another run was first
        shutil.rmtree(fresh)
