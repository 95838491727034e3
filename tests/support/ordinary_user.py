"""Running a command as an ordinary user, also where the tests run as root."""

import os
import pwd
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.platform import CHECKOUT

_USER = "daemon"  # exists on every Linux, owns nothing, and has no home


@contextmanager
def folder_for_everybody() -> Iterator[Path]:
    """Give an empty folder that every user reaches, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="polystream-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class OrdinaryUser:
    """A user that is not root, with a home of its own."""

    def __init__(self, home: Path) -> None:
        """`home` is an empty folder that every user reaches."""
        self.home = home
        self.uid = os.geteuid()
        if self.uid == 0:
            self.uid = pwd.getpwnam(_USER).pw_uid
            os.chown(home, self.uid, self.uid)
        packages = [str(CHECKOUT), str(CHECKOUT / "gen" / "python"), *site.getsitepackages()]
        self.environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            # An interpreter other than the environment's own has to be told where the packages are.
            "PYTHONPATH": os.pathsep.join(packages),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.python = self._find_python()

    def popen(self, arguments: list[str], **options: Any) -> subprocess.Popen[str]:
        """Start Python with these arguments as the user, its output in a pipe."""
        return subprocess.Popen(
            [self.python, *arguments],
            env=self.environment,
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._identity(),
            **options,
        )

    def _identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": []}

    def _find_python(self) -> str:
        """Return a Python of this version that the user may run: the tests' own may be below root's home."""
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        folders = ("/usr/bin", "/usr/local/bin", *os.environ["PATH"].split(os.pathsep))
        candidates = [sys.executable, *(shutil.which(version, path=folder) for folder in folders)]
        for candidate in filter(None, candidates):
            try:
                check = subprocess.run(
                    [candidate, "-c", "import pydantic_core, psutil, stack.supervisor.plan"],
                    env=self.environment,
                    cwd=CHECKOUT,
                    capture_output=True,
                    check=False,
                    timeout=20,
                    **self._identity(),
                )
            except OSError:
                continue
            if check.returncode == 0:
                return candidate
        raise AssertionError(f"the user {_USER} can run no {version}: install one for every user")
