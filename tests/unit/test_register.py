"""The register of a user's platforms: what it keeps, and whom it believes."""

import json
import os
from pathlib import Path

import pytest

from stack.supervisor.register import Register, RegisteredPlatform, user_register

_FIRST = RegisteredPlatform(Path("/data/first"), 0, "embedded")
_SECOND = RegisteredPlatform(Path("/data/second"), 1000, "native")


@pytest.fixture
def register(tmp_path: Path) -> Register:
    """Give an empty register, whose folder is not there yet."""
    return Register(tmp_path / "state" / "platforms")


def test_entries_come_and_go(register: Register) -> None:
    """One for each data folder, the last one that was written, in the order of their ports."""
    assert register.entries() == ()
    register.keep(_SECOND)
    register.keep(RegisteredPlatform(_FIRST.data_dir, 300, "native"))
    register.keep(_FIRST)
    assert register.entries() == (_FIRST, _SECOND)
    assert register.has(_FIRST.data_dir)
    register.forget(_FIRST.data_dir)
    register.forget(_FIRST.data_dir)
    assert register.entries() == (_SECOND,)
    assert not register.has(_FIRST.data_dir)


def test_it_is_its_users_alone(register: Register) -> None:
    """Nobody else may read the folder, or a file in it, and nothing is left of the writing."""
    register.keep(_FIRST)
    assert register.folder.stat().st_mode & 0o777 == 0o700
    (file,) = register.folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 20_000,
        b"[]",
        b"null",
        b'{"data_dir": "/x"}',
        json.dumps({"data_dir": 1, "port_offset": 0, "engines": "native"}).encode(),
        json.dumps({"data_dir": "/x", "port_offset": True, "engines": "native"}).encode(),
        b'{"data_dir": "/x", "port_offset": 0, "engines": "' + b"n" * 20_000 + b'"}',
    ],
    ids=["empty", "no UTF-8", "deep", "a list", "null", "too little", "a number", "a truth", "too long"],
)
def test_what_can_not_be_read_is_passed_over(register: Register, content: bytes) -> None:
    """The others are still told."""
    register.keep(_FIRST)
    (register.folder / "0.json").write_bytes(content)
    assert register.entries() == (_FIRST,)


def test_what_is_anothers_is_neither_believed_nor_written(register: Register, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where `sudo` kept the home folder: root would leave files there that the user can't replace."""
    register.keep(_FIRST)
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)
    assert register.entries() == ()
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
