"""The register of a user's platforms: what it keeps, and whom it believes."""

import json
import os
from pathlib import Path

import pytest

from stack.supervisor.register import Register, user_register

_FIRST, _SECOND = Path("/data/first"), Path("/data/second")


@pytest.fixture
def register(tmp_path: Path) -> Register:
    """Give an empty register, whose folder is not there yet."""
    return Register(tmp_path / "state" / "platforms")


def test_entries_come_and_go(register: Register) -> None:
    """One for each data folder, in the order of their names."""
    assert register.data_dirs() == ()
    register.keep(_SECOND)
    register.keep(_FIRST)
    register.keep(_FIRST)
    assert register.data_dirs() == (_FIRST, _SECOND)
    assert register.has(_FIRST)
    register.forget(_FIRST)
    register.forget(_FIRST)
    assert register.data_dirs() == (_SECOND,)
    assert not register.has(_FIRST)


def test_it_is_its_users_alone(register: Register) -> None:
    """Nobody else may read the folder, or a file in it, and nothing is left of the writing."""
    register.keep(_FIRST)
    assert register.folder.stat().st_mode & 0o777 == 0o700
    (file,) = register.folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def _named(data_dir: object) -> bytes:
    return json.dumps({"data_dir": data_dir}).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 20_000,
        b"[]",
        b"null",
        b'{"data": "/x"}',
        _named(1),
        _named(None),
        _named("/x\0"),
        _named("/x\ud800"),
        _named("x"),
        _named(""),
        _named("/data/../data/first"),
        _named("/data/first"),
        _named("/" + "n" * 20_000),
    ],
    ids=[
        *("empty", "no UTF-8", "deep", "a list", "null", "too little", "a number", "nothing", "a zero", "a surrogate"),
        *("relative", "no name", "another name of a folder", "under another name", "too long"),
    ],
)
def test_what_is_no_entry_goes(register: Register, content: bytes) -> None:
    """The others are still told."""
    register.keep(_FIRST)
    invented = register.folder / "0.json"
    invented.write_bytes(content)
    assert register.data_dirs() == (_FIRST,)
    assert not invented.exists()


def test_what_is_no_file_is_passed_over(register: Register, tmp_path: Path) -> None:
    """A pipe that nobody writes to, a folder and a link: none is waited for, and none goes."""
    register.keep(_FIRST)
    os.mkfifo(register.folder / "0.json")
    (register.folder / "1.json").mkdir()
    target = tmp_path / "target"
    target.write_bytes(_named("/data/first"))
    (register.folder / "2.json").symlink_to(target)
    assert register.data_dirs() == (_FIRST,)
    assert {path.name for path in register.folder.iterdir()} > {"0.json", "1.json", "2.json"}


def test_very_many_entries_hide_none(register: Register) -> None:
    """As many as whoever floods the register may leave there: each is looked at."""
    for number in range(300):
        register.keep(Path(f"/stale/{number}"))
    register.keep(_FIRST)
    assert len(register.data_dirs()) == 301
    assert register.data_dirs()[0] == _FIRST


def test_an_entry_of_an_earlier_version_is_read(register: Register) -> None:
    """It says more than where to look, which nobody believes."""
    register.keep(_FIRST)
    (file,) = register.folder.iterdir()
    file.write_text(json.dumps({"data_dir": str(_FIRST), "port_offset": 7, "engines": "native"}))
    assert register.data_dirs() == (_FIRST,)


def test_what_is_anothers_is_neither_believed_nor_written(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `sudo` kept the home folder: root would leave files there that the user can't replace."""
    register.keep(_FIRST)
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    assert register.data_dirs() == ()
    with pytest.raises(PermissionError):
        register.keep(_SECOND)
    with pytest.raises(PermissionError):
        Register(register.folder.parent / "new" / "platforms").keep(_SECOND)


def test_it_is_below_the_state_home() -> None:
    """As XDG's base directories have it: a relative path is none."""
    found = user_register({"XDG_STATE_HOME": "/state"})
    assert found is not None
    assert found.folder == Path("/state/polystream/platforms")
    home = user_register({"XDG_STATE_HOME": "state"})
    assert home is not None
    assert home.folder == Path.home() / ".local" / "state" / "polystream" / "platforms"
