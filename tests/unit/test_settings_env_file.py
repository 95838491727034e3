"""Reading `.env`: what it takes, and one sentence with the line and the remedy for what it does not."""

import os
import pwd
from pathlib import Path

import pytest

from mesh.env_file import SettingsError, read_env_file
from tests.support.ordinary_user import folder_for_everybody


def _write(folder: Path, content: bytes) -> Path:
    path = folder / ".env"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"A=1\nB=two words # a comment\n", {"A": "1", "B": "two words"}),
        (b"\xef\xbb\xbfA=1\n", {"A": "1"}),
        (b"export A=1\nexport B='x'\n", {"A": "1", "B": "x"}),
        (b'A=1\r\nB="2 \\"3\\""\r\n', {"A": "1", "B": '2 "3"'}),
        (b"\n# nothing\n\nA=\n", {"A": ""}),
        (b"A=p#ss$word\n", {"A": "p#ss$word"}),
        (b"A=1\nB=${A}-${NOBODY:-2}\n", {"A": "1", "B": "1-2"}),
        (b"A='${NOBODY}'\n", {"A": "${NOBODY}"}),
        ("A=caf\u00e9\n".encode(), {"A": "caf\u00e9"}),
    ],
    ids=["plain", "a mark in front", "export", "quoted", "empty", "signs", "another name", "single quotes", "UTF-8"],
)
def test_what_it_takes(tmp_path: Path, content: bytes, values: dict[str, str]) -> None:
    """Each value as it is meant."""
    assert read_env_file(_write(tmp_path, content)).values == values


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b'\nA=1\nB="open\nC=3\n', 3, 'close the quotation mark " before the value of B'),
        (b"export B='open\n", 1, "close the quotation mark ' before the value of B"),
        (b'A="1" 2\n', 1, "close the quotation mark"),
        (b"A=1\n\n\nA=2\n", 4, "sets A again, after line 1: leave one of the two out"),
        (b"A=1\nB\n", 2, "write B=value, or leave the line out"),
        (b"hello world\n", 1, "write NAME=value, or begin it with #"),
        (b"A: 1\n", 1, "write NAME=value"),
        (b"A-B=1\n", 1, "'A-B' is no name of a setting"),
        (b"A=1\nB=caf\xe9\n", 2, "is not UTF-8: save the file as UTF-8"),
        (b"A=\x00\n", 1, "has a NUL in the value of A"),
        (b"A=a${NOBODY}b\n", 1, "uses ${NOBODY}, which nothing sets"),
    ],
    ids=[
        *("an open quote", "an open quote after export", "more after a quote", "twice", "no value", "prose", "a colon"),
        *("no name", "another encoding", "NUL", "an unknown name"),
    ],
)
def test_what_it_does_not_take(tmp_path: Path, content: bytes, line: int, said: str) -> None:
    """One sentence: the line, the file, and what to write instead."""
    path = _write(tmp_path, content)
    with pytest.raises(SettingsError) as error:
        read_env_file(path)
    sentence = str(error.value)
    assert sentence.startswith(f"line {line} of {path} ")
    assert said in sentence
    assert "\n" not in sentence


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """It says so."""
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"\.env is a folder, and settings stand in a file"):
        read_env_file(tmp_path / ".env")


def test_a_file_that_is_named_has_to_be_there(tmp_path: Path) -> None:
    """Nothing is passed over in silence."""
    with pytest.raises(SettingsError, match=r"\.env is not there: make it"):
        read_env_file(tmp_path / ".env")


def test_a_file_of_somebody_elses_is_told_of() -> None:
    """It says whose it should be. Root, who may read every file, is another user meanwhile."""
    with folder_for_everybody() as folder:
        path = _write(folder, b"A=1\n")
        path.chmod(0)
        user = os.geteuid()
        os.seteuid(user or pwd.getpwnam("daemon").pw_uid)
        try:
            with pytest.raises(SettingsError, match=r"can't be read .* give it to your user"):
                read_env_file(path)
        finally:
            os.seteuid(user)


def test_a_secret_is_not_quoted(tmp_path: Path) -> None:
    """A line that can't be read may hold a password."""
    with pytest.raises(SettingsError) as error:
        read_env_file(_write(tmp_path, b'POSTGRES_PASSWORD="open-secret\n'))
    assert "open-secret" not in str(error.value)
