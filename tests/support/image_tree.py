"""The image of the services, carried out as far as it goes without a container engine.

The Dockerfile is read, its COPY lines are done with what `.dockerignore` lets through, and its lock file is installed
into a new virtual environment. What it says of users and of the base image stays on paper.
"""

import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from tests.support.platform import CHECKOUT
from tests.support.sdk_install import uv

DOCKERFILE: Final = CHECKOUT / "deploy" / "image" / "Dockerfile"
LOCK: Final = CHECKOUT / "requirements-image.lock"
_IGNORE: Final = CHECKOUT / ".dockerignore"
_CONTEXT_WALK_SKIPS: Final = {".git", ".venv", ".data", "build", "node_modules", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile."""

    stage: int
    name: str  # in capitals
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """What the image has, as folders of this machine."""

    app: Path
    python: Path
    environment: dict[str, str]  # what its ENV lines set

    def run(self, *arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run its Python, with nothing of this process's environment."""
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.app,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def instructions() -> list[Instruction]:
    """Return what the Dockerfile says, in its order."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    text = re.sub(r"\\\n", " ", "\n".join(lines))
    found, stage = [], -1
    for line in filter(str.strip, text.splitlines()):
        name, _, rest = line.strip().partition(" ")
        stage += name.upper() == "FROM"
        found.append(Instruction(stage, name.upper(), rest.strip()))
    return found


def build(folder: Path) -> Image:
    """Do what the Dockerfile does, below a folder."""
    build_stage, final_stage = folder / "build", folder / "final"
    context = context_files()
    work_dir = "/"
    venv = final_stage / "opt" / "venv"
    for line in instructions():
        root = build_stage if line.stage == 0 else final_stage
        if line.name == "WORKDIR":
            work_dir = line.text
        if line.name != "COPY":
            continue
        *sources, target = shlex.split(line.text)
        if sources[0].startswith("--from="):
            (inner,) = sources[1:]
            if inner != "/opt/venv":  # that one is made below, in its place
                shutil.copytree(build_stage / inner.lstrip("/"), root / target.lstrip("/"))
            continue
        for source in filter(_is_needed, sources):
            to = root / PurePosixPath(work_dir, target).as_posix().lstrip("/")
            _copy(context, source, to, is_folder=target.endswith(("/", ".")))
    uv("venv", "--quiet", "--python", sys.executable, venv)
    python = venv / "bin" / "python"
    uv("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", "--python", python, LOCK)
    image = Image(final_stage / "app", python, _environment(final_stage))
    image.run("-m", "compileall", "-q", ".")
    return image


def _is_needed(source: str) -> bool:
    """Tell whether a source has to be there. A pattern may fit nothing: no service needs the pages."""
    return "[" not in source


def context_files() -> list[PurePosixPath]:
    """Return the files that the engine would be given, relative to the checkout."""
    rules = [
        (not line.startswith("!"), line.lstrip("!").strip("/"))
        for line in map(str.strip, _IGNORE.read_text().splitlines())
        if line and not line.startswith("#")
    ]
    patterns = [(ignored, re.compile(_pattern(text))) for ignored, text in rules]
    files = []
    for top in sorted(CHECKOUT.iterdir()):
        if top.name in _CONTEXT_WALK_SKIPS:
            continue
        found = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        files += [PurePosixPath(path.relative_to(CHECKOUT).as_posix()) for path in found]
    return [file for file in files if not _is_ignored(file, patterns)]


def _pattern(text: str) -> str:
    """Return an ignore rule as a regular expression: `**/` matches any folders, `*` no slash."""
    return "^" + re.escape(text).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*") + "$"


def _is_ignored(file: PurePosixPath, patterns: "list[tuple[bool, re.Pattern[str]]]") -> bool:
    """Apply the rules to a file: the last one counts that matches it, or a folder above it."""
    ignored = False
    names = [file.as_posix(), *(parent.as_posix() for parent in file.parents if parent.name)]
    for verdict, pattern in patterns:
        if any(pattern.match(name) for name in names):
            ignored = verdict
    return ignored


def _copy(context: list[PurePosixPath], source: str, target: Path, *, is_folder: bool) -> None:
    wanted = [file for file in context if file == PurePosixPath(source) or PurePosixPath(source) in file.parents]
    assert wanted, f"COPY {source}: there is no such file in the context"
    for file in wanted:
        inner = file.relative_to(source)
        to = target / inner if inner.parts else target / file.name if is_folder else target
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / file, to)


def _environment(root: Path) -> dict[str, str]:
    """Return what the ENV lines of the last stage set, their paths below a folder."""
    texts = [line.text for line in instructions() if line.name == "ENV" and line.stage == 1]
    pairs = dict(pair.split("=", 1) for text in texts for pair in shlex.split(text))
    pairs["PATH"] = pairs["PATH"].replace("$PATH", "/usr/bin:/bin")
    for name in ("PATH", "PYTHONPATH"):
        pairs[name] = re.sub(r"(^|:)/(app|opt)", rf"\1{root}/\2", pairs[name])
    return pairs
