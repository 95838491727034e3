"""Where the documentation's commands are run: a fresh copy of the checkout, and what a reader has beside it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

import httpx

from stack.ports import Ports
from tests.docs.blocks import Block, matches
from tests.support.bounded import run_bounded
from tests.support.npm_tools import newman
from tests.support.platform import Platform
from tests.support.ports import free_offset
from tests.support.tools import go_tool

# A reader comes to the first `explain` after minutes; by then the monitor follows the topics.
_FIRST_STORY: Final = """
ID=$(curl -sf -X POST http://localhost:8000/v1/contents/1 |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["correlation_id"])')
timeout 90 bash -c "until curl -sf http://localhost:8000/v1/operations/$ID:explain | grep -q command.succeeded; do
  sleep 0.2; done"
"""
_STEP_TIMEOUT_S: Final = 300
_SECOND_OFFSET: Final = 1000  # what the pages give to a second platform
_STARTING: Final = Path(__file__).with_name("starting.py")
_MARK: Final = "=== run: "
_ADDRESS: Final = re.compile(r"(?P<host>localhost|127\.0\.0\.1):(?P<port>\d+)\b")
_START: Final = re.compile(
    r"^(?P<start>python3 start\.py)(?P<options>| up\b[^#|&>\n]*)(?P<rest>\s*(?:#.*)?)$", re.MULTILINE
)
_WHOLE_SUITE: Final = re.compile(r"^(python3 start\.py test)(?=\s*(?:[#|&>\d].*)?$)", re.MULTILINE)
# The suite can't be run inside of itself: one file of it stands for all.
_ONE_FILE: Final = "tests/unit/test_ids.py"


class Desk:
    """A copy of the checkout with its own `.venv`, a Python of the reader's, the tools, and at most one platform."""

    def __init__(self, repository: Path, folder: Path) -> None:
        """Copy the checkout, and install into it as a reader would who runs the tests."""
        self.checkout = folder / "polystream"
        self._offset = free_offset()
        self._second_offset = free_offset()
        self._shared: Platform | None = None
        _copy(repository, self.checkout)
        _seed(repository / ".venv", self.checkout / ".venv")
        self._environment = _environment(folder, self.checkout)
        self.run_text("python3 start.py test --version")

    def have(self, platform: Platform) -> None:
        """Make sure that the copy's commands find this platform, which other tests use, too."""
        if self._shared is platform:
            return
        self.have_none()
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.parent.mkdir(exist_ok=True)
        self._data.symlink_to(platform.data_dir)
        self._shared = platform
        self._offset = int(httpx.URL(platform.endpoints["rest"]).port or 0) - Ports().rest
        self.run_text(_FIRST_STORY)

    def have_none(self) -> None:
        """Make sure that the copy's commands find no platform."""
        if self._shared is not None:
            self._data.unlink()
        self._shared = None
        self._offset, self._second_offset = free_offset(), free_offset()  # others may have taken what was free

    @property
    def _data(self) -> Path:
        """The folder in which the commands look for a platform."""
        return self.checkout / ".data" / "embedded"

    def run(self, blocks: Sequence[Block], python: str) -> None:
        """Run blocks in one shell, one after the other, programs by `python`; hold what they say to what is shown."""
        lines = ["set -euo pipefail"]
        for number, block in enumerate(blocks):
            here = self.rewritten(block.text)
            program = f"{python} - <<'PROGRAM'\n{here}PROGRAM\n"
            lines += [f"printf '\\n{_MARK}{number}\\n'", program if block.language == "python" else here]
        finished = self._bash("\n".join(lines))
        parts = re.split(rf"^{_MARK}\d+$", finished.stdout, flags=re.MULTILINE)[1:]
        last = blocks[len(parts) - 1].place if parts else ""
        assert finished.returncode == 0, f"{last} failed with {finished.returncode}:\n{finished.stdout[-6000:]}"
        for block, said in zip(blocks, parts, strict=True):
            if block.output is not None:
                shown = self.rewritten(block.output)
                assert matches(shown, said), f"{block.place} says otherwise than the page:\n{said}\n--- shown:\n{shown}"

    def run_text(self, text: str) -> str:
        """Run commands, and return what they wrote."""
        finished = self._bash(f"set -euo pipefail\n{self.rewritten(text)}")
        assert finished.returncode == 0, f"{text} failed:\n{finished.stdout}"
        return finished.stdout

    def rewritten(self, text: str) -> str:
        """Return commands for this desk: other ports, no browser, and Ctrl-C for what would stay."""
        text = _WHOLE_SUITE.sub(rf"\1 {_ONE_FILE}", text)
        return _ADDRESS.sub(self._address, _START.sub(self._start, text))

    def syntax_error(self, text: str) -> str:
        """Return what bash says against commands that are not run; nothing where they are well formed."""
        return subprocess.run(
            ["bash", "-n"], input=text, capture_output=True, text=True, check=False, timeout=10
        ).stderr

    def close(self) -> None:
        """Stop what a page has left running, where it failed."""
        self.have_none()
        self.run_text("python3 start.py down")

    def _bash(self, script: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-c", f"exec 2>&1\n{script}"]
        return run_bounded(command, timeout_s=_STEP_TIMEOUT_S, cwd=self.checkout, env=self._environment)

    def _start(self, found: re.Match[str]) -> str:
        options = found["options"] or " up"
        if f"--port-offset {_SECOND_OFFSET}" in options:
            options = options.replace(f"--port-offset {_SECOND_OFFSET}", f"--port-offset {self._second_offset}")
        else:
            options += f" --port-offset {self._offset}"
        if "--no-browser" not in options:
            options += " --no-browser"
        by_hand = f"{sys.executable} {_STARTING} {'' if '--detach' in options else '--ctrl-c '}"
        return f"{by_hand}{found['start']}{options}{found['rest']}"

    def _address(self, found: re.Match[str]) -> str:
        port, known = int(found["port"]), {field.default for field in fields(Ports)}
        if port in known:
            port += self._offset
        elif port - _SECOND_OFFSET in known:
            port += self._second_offset - _SECOND_OFFSET
        return f"{found['host']}:{port}"


def _copy(repository: Path, copy: Path) -> None:
    """Copy what git knows or would take, as it stands."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (repository / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, copy / name)
    if (repository / "build" / "protos").exists():  # else they are fetched again
        shutil.copytree(repository / "build" / "protos", copy / "build" / "protos")


def _seed(installed: Path, copy: Path) -> None:
    """Give the copy what is installed in the checkout, by links: `start.py` has little left to install.

    Its stamp stays behind, so that it goes through all its steps. The scripts name the Python that they belong to.
    """

    def link(source: str, target: str) -> str:
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copy2(source, target)
        return target

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {"bin", *(name for name in names if name.endswith(".json"))} if Path(folder) == installed else set()

    shutil.copytree(installed, copy, symlinks=True, copy_function=link, ignore=left_out)
    (copy / "bin").mkdir()
    for program in (installed / "bin").iterdir():
        target = copy / "bin" / program.name
        shutil.copy2(program, target, follow_symlinks=False)
        if not program.is_symlink() and target.read_bytes().startswith(b"#!"):
            target.write_bytes(target.read_bytes().replace(bytes(installed), bytes(copy)))


def _environment(folder: Path, checkout: Path) -> dict[str, str]:
    """Return a reader's environment: a Python with pip of their own, and the tools that the pages name."""
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, capture_output=True)
    tools = folder / "tools"
    tools.mkdir()
    for name in ("grpcurl", "grpc-health-probe"):
        (tools / name).symlink_to(go_tool(name))
    (tools / "newman").symlink_to(newman())
    kept = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    # The copy's own tools come last: a page that means its Python says so.
    path = [folder / "venv" / "bin", tools, *os.environ["PATH"].split(os.pathsep), checkout / ".venv" / "bin"]
    return kept | {"PATH": os.pathsep.join(map(str, path))}
