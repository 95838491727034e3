"""The SDK as its users have it: a wheel, installed where nothing of the server is."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_SDK = _ROOT / "sdk"
_TIMEOUT_S = 100


def uv(*arguments: str | Path) -> str:
    """Run uv, and return what it wrote."""
    return _run(shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}") or "uv", *arguments)


def build(out: Path, *options: str) -> Path:
    """Build the SDK into a new folder, and return its wheel. Without options, it is built from the sdist."""
    uv("build", "--quiet", *options, "--out-dir", out, _SDK)
    return next(out.glob("*.whl"))


def server_dependencies() -> set[str]:
    """Return the names of what the server itself needs, and its own."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[\[<>=~! ]", requirement)[0] for requirement in project["dependencies"]]
    return {name.lower() for name in [*names, project["name"]]}


def readme_program() -> str:
    """Return the program in the SDK's README."""
    blocks = re.findall(r"^```python\n(.*?)^```", (_SDK / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return next(str(block) for block in blocks if "asyncio.run(" in block)


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with the SDK alone."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def packages(self) -> set[str]:
        """The names of what is installed in it."""
        listed = json.loads(uv("pip", "list", "--quiet", "--format", "json", "--python", self.python))
        return {package["name"] for package in listed}

    def run(self, program: str) -> list[str]:
        """Run a program, and return the lines that it wrote."""
        return _run(self.python, "-W", "error", "-c", program).splitlines()

    def type_check(self, program: Path) -> str:
        """Check a program's types as strictly as mypy can, with what is installed here; return its findings."""
        command = ("-m", "mypy", "--strict", "--config-file=", "--no-incremental", "--python-executable", self.python)
        return _run(sys.executable, *command, program, check=False)


def install(wheel: Path, folder: Path) -> Environment:
    """Install a wheel into a new virtual environment."""
    made = Environment(folder)
    uv("venv", "--quiet", "--python", sys.executable, folder)
    uv("pip", "install", "--quiet", "--python", made.python, wheel)
    return made


def _run(*command: str | Path, check: bool = True) -> str:
    # Away from the checkout and its paths: only what is installed is found.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "MYPYPATH"}}
    done = subprocess.run(
        command, cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr if not check else done.stdout
