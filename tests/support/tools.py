"""Tools in Go, built once into a cache outside the checkout, from the versions that go.sum pins."""

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from tests.support.bounded import run_bounded
from tests.support.unavailable import UnavailableError, once

_TOOLS: Final = Path(__file__).parents[1] / "tools"
# The module that pins each tool, and its package there.
_PACKAGES: Final = {
    "compose": (_TOOLS / "compose", "github.com/docker/compose/v2/cmd"),
    "grpc-health-probe": (_TOOLS / "health_probe", "github.com/grpc-ecosystem/grpc-health-probe"),
    "grpcurl": (_TOOLS, "github.com/fullstorydev/grpcurl/cmd/grpcurl"),
    "kfake": (_TOOLS / "kfake", "."),
}
_BUILD_TIMEOUT_S: Final = 1800


@once
def go_tool(name: str) -> Path:
    """Return the path of a tool, built if it is not in the cache. Raises UnavailableError where it can't be had."""
    module, _ = _PACKAGES[name]
    locked = b"".join((module / file).read_bytes() for file in ("go.sum", "go.mod"))
    locked += b"".join(source.read_bytes() for source in sorted(module.glob("*.go")))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "polystream" / "tools"
    path = cache / hashlib.sha256(locked).hexdigest()[:16] / name
    if not path.exists():
        _build(name, path)
    return path


def _build(name: str, path: Path) -> None:
    # A wheel in the environment brings Go where the machine has none.
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        raise UnavailableError(f"{name}: it is built with Go, and there is none: install Go 1.26 or later")
    path.parent.mkdir(parents=True, exist_ok=True)
    built = path.with_name(f"{name}.{os.getpid()}")
    module, package = _PACKAGES[name]
    command = [go, "build", "-mod=readonly", "-o", str(built), package]
    finished = run_bounded(command, cwd=module, timeout_s=_BUILD_TIMEOUT_S)
    if finished.returncode != 0:
        raise UnavailableError(f"{name}: `go build` in {module} failed:\n{finished.stderr}")
    built.replace(path)
