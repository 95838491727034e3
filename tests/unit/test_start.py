"""start.py: what it says where it can't go on, and when it installs."""

import ast
import importlib.util
import json
import os
import re
import sys
import sysconfig
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from cli.help import help_pages

CHECKOUT = Path(__file__).resolve().parents[2]
PYTHONS: Final = ("3.11.0", "3.11.2", "3.11.7", "3.12.0", "3.13.0")  # of each kind that the conditions tell apart
EXTRAS: Final = {  # what is locked beside the project's own dependencies
    "requirements.lock": ("embedded", "checkout"),
    "requirements-dev.lock": ("embedded", "checkout", "bench", "dev"),
    "requirements-image.lock": (),
}


@pytest.fixture
def start(tmp_path: Path) -> ModuleType:
    """Return start.py as it is in a checkout with locks and an installed environment, both fake."""
    for name in ("start.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        (tmp_path / name).write_bytes((CHECKOUT / name).read_bytes())
    (tmp_path / "cli").mkdir()
    (tmp_path / "cli" / "help.json").write_bytes((CHECKOUT / "cli" / "help.json").read_bytes())
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "polystream"):
        (tmp_path / ".venv" / "bin" / name).touch(mode=0o755)
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(f"version = {'.'.join(map(str, sys.version_info[:3]))}\n")
    spec = importlib.util.spec_from_file_location("start", tmp_path / "start.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _stamp(start: ModuleType, chosen: str) -> None:
    start.STAMP.write_text(json.dumps({"fingerprint": start.fingerprint(), "set": chosen}))


def test_an_old_python_can_read_it() -> None:
    """Its syntax is Python 3.6's: no older interpreter ends with a syntax error instead of the sentence."""
    ast.parse((CHECKOUT / "start.py").read_text(), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 2), (3, 10, 13), (3, 14, 0), (3, 15, 1)])
def test_a_python_that_has_no_packages_is_told_what_to_do(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: tuple[int, ...]
) -> None:
    """Too old or too new: a sentence with the versions that are needed, the one that is there, and the remedy."""
    name = ".".join(map(str, version))
    monkeypatch.setattr(sys, "version_info", (*version, "final", 0))
    monkeypatch.setattr(sys, "version", f"{name} (main)")
    assert start.main(["up"]) == 1
    said = capsys.readouterr().err
    assert f"Python 3.11, 3.12 or 3.13 is needed, and this is {name}. " in said
    assert "python3.11 start.py" in said


def test_another_build_of_python_is_told_what_to_do(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for which there are no packages is refused before a package fails to build."""
    start.check_machine()
    monkeypatch.setattr(sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    with pytest.raises(start.InstallError, match="without its global lock"):
        start.check_machine()


def test_the_project_and_the_bootstrap_accept_the_same_pythons(start: ModuleType) -> None:
    """What pip refuses by the project's metadata, start.py refuses, and nothing else."""
    newest = f"{start.NEWEST[0]}.{start.NEWEST[1] + 1}"
    expected = f">={'.'.join(map(str, start.OLDEST))},<{newest}"
    assert tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["requires-python"] == expected
    assert {PYTHONS[0], PYTHONS[-1]} == {".".join(map(str, (*version, 0))) for version in (start.OLDEST, start.NEWEST)}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", EXTRAS)
def test_each_lock_has_what_each_python_needs(lock: str, python: str) -> None:
    """What the project and its packages ask for on a Python is locked for that Python, in a version that will do."""
    environment = {**default_environment(), "python_version": python[:4], "python_full_version": python}
    locked = _locked_for(environment, (CHECKOUT / lock).read_text())
    assert len(locked) > 50
    wanted = _wanted_by_the_project(lock)
    seen: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{requirement} is not locked for Python {python}"
        assert requirement.specifier.contains(locked[name], prereleases=True), f"{requirement}, but {locked[name]}"
        asking = f"{name}{sorted(requirement.extras)}"
        if asking not in seen:
            seen.add(asking)
            wanted += _wanted_by(requirement, locked[name], environment)


def _locked_for(environment: Mapping[str, Any], lock: str) -> dict[NormalizedName, str]:
    requirements = map(Requirement, re.findall(r"^(\w[^\\\n]*?) ?\\$", lock, re.MULTILINE))
    fitting = [each for each in requirements if each.marker is None or each.marker.evaluate(environment)]
    versions = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in fitting}
    assert len(versions) == len(fitting), "a package is locked twice for one Python"
    return versions


def _wanted_by_the_project(lock: str) -> list[Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in EXTRAS[lock])]
    return [Requirement(text) for each in lists for text in each]


def _wanted_by(requirement: Requirement, version: str, environment: Mapping[str, Any]) -> list[Requirement]:
    """Return what a package asks for, as it says itself: of this Python's installed packages, all but a few."""
    try:
        package = metadata.distribution(requirement.name)
    except metadata.PackageNotFoundError:
        return []
    if package.version != version:
        return []
    asked = map(Requirement, package.requires or [])
    extras = requirement.extras or {""}
    return [
        each
        for each in asked
        if each.marker is None or any(each.marker.evaluate({**environment, "extra": extra}) for extra in extras)
    ]


def test_another_system_is_told_what_to_do(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the engines can't run, it says where they can."""
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(start.InstallError, match="On Windows, use WSL"):
        start.check_machine()


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("error: failed to write to file: No space left on device (os error 28)", "the disk is full"),
        ("error: failed to create directory: Permission denied (os error 13)", "can't be written"),
        ("error: Failed to fetch: https://index/simple/rich/\n  cause: dns error: name resolution", "can't be reached"),
        ("WARNING: Retrying (Retry(total=0)) after connection broken by 'ProxyError'", "can't be reached"),
        ("error: Hash mismatch for `rich==15.0.0`", "not the one that was locked"),
        (f"error: failed to write to {'long/' * 90}: No space left on device (os error 28)", "the disk is full"),
        ("error: something else", "all of its output is in"),
    ],
)
def test_a_failed_installation_is_told_with_its_remedy(start: ModuleType, output: str, remedy: str) -> None:
    """What an installer says is turned into what to do, and its own words follow."""
    message = start.explain("installing", "Resolved 3 packages\n" + output)
    assert remedy in message
    assert output.splitlines()[-1][-200:] in message


@pytest.mark.integration  # it starts a process
def test_a_failing_step_ends_with_its_message(start: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A step that fails names itself, and its output is kept in the log."""
    command = [sys.executable, "-c", "import sys; sys.exit('No space left on device')"]
    with pytest.raises(start.InstallError, match="trying it failed: the disk is full"):
        start.step("trying it", command)
    assert "trying it … " in capsys.readouterr().out
    assert "No space left" in start.INSTALL_LOG.read_text()


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], ["up", "--help"], ["help", "dlq", "redrive"]])
def test_help_is_told_before_anything_is_installed(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Whoever looks first waits for no package."""
    monkeypatch.setattr(start, "is_installed", lambda _: False)
    monkeypatch.setattr(start, "install", lambda _: pytest.fail("it installs"))
    assert start.main(arguments) == 0
    words = [word for word in arguments if word not in {"-h", "--help", "help"}]
    assert capsys.readouterr().out.startswith(" ".join(["usage: polystream", *words]))


def test_the_version_is_told_before_anything_is_installed(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the project's."""
    monkeypatch.setattr(start, "install", lambda _: pytest.fail("it installs"))
    assert start.main(["--version"]) == 0
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert capsys.readouterr().out == f"polystream {version}\n"


def test_the_help_before_is_the_help_afterwards() -> None:
    """`cli/help.json` is what the commands say of themselves: `python -m cli.help > cli/help.json` writes it anew."""
    written = json.loads((CHECKOUT / "cli" / "help.json").read_text(encoding="utf-8"))
    told = help_pages()
    assert written.keys() == told.keys()
    # Pythons break lines in other places.
    assert [words for words, text in told.items() if text.split() != written[words].split()] == []


def test_it_installs_once(start: ModuleType) -> None:
    """A stamp of the same files is enough for the set that it names, and the tests' set includes the other."""
    assert not start.is_installed("runtime")
    _stamp(start, "runtime")
    assert start.is_installed("runtime")
    assert not start.is_installed("dev")
    _stamp(start, "dev")
    assert start.is_installed("runtime")
    assert start.is_installed("dev")


@pytest.mark.parametrize("name", ["pyproject.toml", "requirements.lock", "requirements-dev.lock"])
def test_a_changed_file_installs_again(start: ModuleType, name: str) -> None:
    """Whatever the installation was made from, a change in it makes it anew."""
    _stamp(start, "dev")
    with (start.ROOT / name).open("a") as file:
        file.write("\n# changed\n")
    assert not start.is_installed("runtime")


def test_a_vanished_interpreter_installs_again(start: ModuleType) -> None:
    """An environment whose Python is gone is no environment."""
    _stamp(start, "runtime")
    start.PYTHON.unlink()
    start.PYTHON.symlink_to(start.ROOT / "gone")
    assert not start.is_installed("runtime")
    assert not start.venv_fits()


def test_an_installation_keeps_the_tests_tools(start: ModuleType) -> None:
    """Starting the platform does not take away what running the tests had installed."""
    assert not start.has_dev_tools()
    (start.VENV / "bin" / "pytest").touch()
    assert start.has_dev_tools()


def test_the_bootstrap_is_locked(start: ModuleType) -> None:
    """The installer itself is pinned, by version and hashes, in both locks."""
    for lock in start.LOCKS.values():
        requirement = start.locked("uv", lock)
        assert requirement.startswith("uv==")
        assert "--hash=sha256:" in requirement


def test_a_bootstrap_locked_for_some_pythons_alone_is_found(start: ModuleType) -> None:
    """A condition beside the version is handed to pip with it, and is no part of the version."""
    lock = start.ROOT / "some.lock"
    lock.write_text("tz==1 \\\n    --hash=sha256:00\nuv==9.1 ; sys_platform == 'linux' \\\n    --hash=sha256:11\n")
    assert start.locked("uv", lock) == "uv==9.1 ; sys_platform == 'linux' \\\n    --hash=sha256:11\n"


def test_an_installer_is_led_nowhere_else(start: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that redirect pip are dropped; the user's index and certificates are handed on to uv."""
    monkeypatch.setenv("PIP_TARGET", "/elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    environment = start.installer_environment()
    assert "PIP_TARGET" not in environment
    assert environment["UV_DEFAULT_INDEX"] == "https://index.example/simple"


def test_a_path_in_the_environment_is_relative(start: ModuleType) -> None:
    """Python reads what leads to the checkout in the user's locale, which may lack the letters of its path."""
    packages = start.VENV / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    file = packages / "_polystream.pth"
    file.write_text(f"{start.ROOT}\n{start.ROOT}/gen/python\n")
    start.make_paths_relative()
    assert file.read_text() == "../../../..\n../../../../gen/python\n"


@pytest.mark.integration  # it starts a process
def test_a_damaged_installer_is_no_installer(start: ModuleType) -> None:
    """What a full disk has left of uv is fetched again."""
    assert start.uv_version() == ""
    start.UV.write_bytes(b"\x7fELF and no more")
    start.UV.chmod(0o755)
    assert start.can_run(start.UV)
    assert start.uv_version() == ""


@pytest.mark.parametrize(
    ("variables", "kept"),
    [
        ({}, False),
        ({"HOME": "/proc"}, False),
        ({"HOME": "{own}"}, True),
        ({"HOME": "/proc", "XDG_CACHE_HOME": "{own}"}, True),
        ({"HOME": "{own}", "UV_CACHE_DIR": "/proc/cache"}, False),
    ],
)
def test_a_cache_that_nobody_could_write_is_left_out(
    start: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], kept: bool
) -> None:
    """Without a home to write to, packages are installed without a cache, and not refused."""
    for name in ("HOME", "XDG_CACHE_HOME", "UV_CACHE_DIR", "UV_NO_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(own=tmp_path))
    monkeypatch.setattr(os, "access", lambda path, _: str(path).startswith(str(tmp_path)))
    assert ("UV_NO_CACHE" not in start.installer_environment()) is kept


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(28, "No space left on device", "/x/.venv"), "Free about 1 GB"),
        (PermissionError(13, "Permission denied", "/x/.venv"), "Run this as the user that owns"),
        (OSError(30, "Read-only file system", "/x/.venv"), "Run this as the user that owns"),
        (OSError(2, "No such file or directory", "/x/uv"), "No such file or directory: '/x/uv'"),
    ],
)
def test_an_error_of_the_system_is_told_with_its_remedy(
    start: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: OSError, remedy: str
) -> None:
    """Before any installer runs, too, the disk and the rights are told as what they are."""

    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(start, "install", fail)
    assert start.main(["status"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("polystream: ")
    assert remedy in said
