"""A whole Debian of another release in a folder, as a user of that release has it: its Python, and nothing of ours."""

import os
import shutil
from pathlib import Path
from typing import Final

from stack.engines.native.fetch import cache_folder
from tests.support.bounded import run_bounded
from tests.support.debian import install
from tests.support.unavailable import UnavailableError, once

_RELEASE: Final = "trixie"  # Debian 13, whose Python is 3.13
_PACKAGES: Final = "python3,python3-venv,ca-certificates"
_MAKER: Final = "mmdebstrap"
_TIMEOUT_S: Final = 600
_HOST_FILES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/resolv.conf", "/etc/hosts")


@once
def debian_root() -> Path:
    """Return the folder of the release, made once. Raises UnavailableError where that is not possible here."""
    folder = cache_folder().parent / f"debian-{_RELEASE}"
    if folder.exists():
        return folder
    if shutil.which(_MAKER) is None:
        install(_MAKER)
    if os.geteuid() != 0 or shutil.which(_MAKER) is None:
        raise UnavailableError("the newest Python, from Debian 13: run the tests as root on Debian, with mmdebstrap")
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}.new")
    options = ["--variant=minbase", f"--include={_PACKAGES}", "--quiet"]
    made = run_bounded([_MAKER, *options, _RELEASE, str(unfinished), _archive()], timeout_s=_TIMEOUT_S)
    if made.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise UnavailableError(f"the newest Python, from Debian 13; mmdebstrap says: {made.stderr[-500:]}")
    unfinished.rename(folder)
    return folder


def mounts_of(root: Path) -> str:
    """Return what gives a place the folder as a whole system, with the network and the temporary files of this one."""
    files = "\n".join(f"touch {root}{file}; mount --bind {file} {root}{file}" for file in _HOST_FILES)
    folders = "\n".join(f"mount --rbind {folder} {root}{folder}" for folder in ("/proc", "/dev", "/sys", "/tmp"))
    # Packages that are there already: what is tested is not the network.
    cache = Path.home() / ".cache" / "uv"
    packages = f"mkdir -p {cache} {root}/root/.cache/uv; mount --bind {cache} {root}/root/.cache/uv"
    return f"{folders}\n{files}\n{packages}"


def _archive() -> str:
    """Return where this machine's apt finds Debian's packages."""
    listed = run_bounded(["apt-get", "indextargets", "--format", "$(REPO_URI)"], timeout_s=_TIMEOUT_S).stdout.split()
    ours = [uri for uri in listed if uri.rstrip("/").endswith("/debian")]
    if not ours:
        raise UnavailableError("the newest Python, from Debian 13: apt has no archive of Debian here")
    return f"deb {ours[0]} {_RELEASE} main"
