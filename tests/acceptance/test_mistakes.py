"""A new user's mistakes with `.env` and the command line, each by the command itself.

Each ends with one sentence on standard error that says what to do, and nothing else is there: no usage, no traceback,
no line of a library's.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from mesh.settings_base import setting_names
from tests.support.platform import CHECKOUT, Platform
from tests.support.ports import free_offset, free_port_run

_TIMEOUT_S = 60.0
_SENTENCE_MAX_CHARACTERS = 600
_NOBODYS_ID = "019a1b2c-3d4e-7f50-8123-456789abcdef"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is typed, what `.env` has, and what the sentence has to say."""

    name: str
    arguments: str  # FOLDER is an empty folder, FILE a file
    said: str
    env: bytes = b""

    def __str__(self) -> str:
        return self.name


_UP = "up --detach --no-browser --data-dir FOLDER"
_COMMAND_LINE = (
    Mistake("a word that is no engine set", f"{_UP} --engines extrenal", "did you mean external?"),
    Mistake("an offset in letters", f"{_UP} --port-offset abc", "--port-offset: 'abc' is no whole number from 0 to"),
    Mistake("an offset below 0", f"{_UP} --port-offset -1", "'-1' is no whole number from 0 to"),
    Mistake("an offset too far", f"{_UP} --port-offset 99999", "'99999' is no whole number from 0 to"),
    Mistake("no gateway", f"{_UP} --gateways 0", "--gateways: '0' is no whole number from 1 to 64"),
    Mistake("an empty name for a folder", "up --data-dir=", "it is empty: name a folder"),
    Mistake("a file for a folder", "up --data-dir FILE", "is a file: name a folder"),
    Mistake("an option that is misspelt", f"{_UP} --port-ofset 5", "did you mean --port-offset?"),
    Mistake("an option without its value", f"{_UP} --port-offset", "--port-offset: expected one argument"),
    Mistake("a command that is misspelt", "statsu", "there is no command 'statsu', did you mean status?"),
    Mistake("a command that never was", "fly", "there is no command 'fly'; there are up, down"),
    Mistake("an option before the command", "--port-offset 5 up", "the command comes first: `polystream up --port-off"),
    Mistake("no command", "", "say what to do, by one of up, down"),
    Mistake("an action that is misspelt", "dlq lst", "did you mean list?"),
    Mistake("no action", "integrity", "it needs ACTION"),
    Mistake("a word for an ID", "explain foo", "CORRELATION_ID: 'foo' is no correlation ID: take correlation_id from"),
    Mistake(
        "a dead letter's number alone",
        "dlq show 17",
        "'17' is no PARTITION:OFFSET and no correlation ID: `dlq list` shows both",
    ),
    Mistake("a report into no folder", "bench --json FOLDER/none/x.json", "is not there: make it"),
    Mistake("an option that pytest has not", "test --fast", "unrecognized arguments: --fast"),
    Mistake("explain, and nothing runs", f"explain {_NOBODYS_ID} --data-dir FOLDER", "start one with `up`"),
    Mistake("dlq, and nothing runs", "dlq redrive --all --data-dir FOLDER", "start one with `up`"),
    Mistake("integrity, and nothing runs", "integrity repair --data-dir FOLDER", "start one with `up`"),
)
_ENV = (
    Mistake("a port in letters", _UP, "POSTGRES_PORT, line 2 of FOLDER/.env, is 'abc'", b"A=1\nPOSTGRES_PORT=abc\n"),
    Mistake("a port too far", _UP, "write a whole number from 1 to 65535", b"POSTGRES_PORT=70000\n"),
    Mistake("a broker without its port", _UP, "write host:port for each", b"KAFKA_BOOTSTRAP_SERVERS=kafka\n"),
    Mistake("a URL without http", _UP, "begin it with http:// or https://", b"SCHEMA_REGISTRY_URL=registry:8181\n"),
    Mistake("a time below 0", _UP, "write a number above 0", b"ELASTICSEARCH_TIMEOUT_S=-1\n"),
    Mistake("a password in a URL", _UP, "write the characters / : @", b"MONGODB_URL=mongodb://u:p/w@h/db\n"),
    Mistake("a name that is misspelt", _UP, "write POSTGRES_PASSWORD, or leave the line out", b"POSTGRES_PASWORD=x\n"),
    Mistake("a quote that is open", _UP, "line 2 of FOLDER/.env can't be read: close the", b'A=1\nB="x\nC=1\n'),
    Mistake("a sampler that is none", _UP, "is 'foo': write parentbased_ratelimited", b"OTEL_TRACES_SAMPLER=foo\n"),
    Mistake(
        "a share above 1",
        _UP,
        "OTEL_TRACES_SAMPLER_ARG is 5, and traceidratio takes 0 to 1",
        b"OTEL_TRACES_SAMPLER=traceidratio\nOTEL_TRACES_SAMPLER_ARG=5\n",
    ),
    Mistake("a name twice", _UP, "line 3 of FOLDER/.env sets LOG_LEVEL again", b"LOG_LEVEL=INFO\n\nLOG_LEVEL=DEBUG\n"),
    Mistake("another encoding", _UP, "line 2 of FOLDER/.env is not UTF-8: save the file as UTF-8", b"A=1\nB=\xe7\n"),
    Mistake(
        "a certificate without its key",
        f"{_UP} --edge",
        "EDGE_CERTIFICATE_FILE is set and EDGE_KEY_FILE is not: set both",
        b"EDGE_CERTIFICATE_FILE=FILE\n",
    ),
    Mistake(
        "a key that is not there",
        f"{_UP} --edge",
        "EDGE_KEY_FILE, line 1 of FOLDER/.env, names '/nowhere', which is not there: write the path",
        b"EDGE_KEY_FILE=/nowhere\nEDGE_CERTIFICATE_FILE=FILE\n",
    ),
)


def _polystream(arguments: Sequence[str], **variables: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name not in setting_names()}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=CHECKOUT,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )


def _check(done: "subprocess.CompletedProcess[str]", said: str) -> None:
    """Check that it failed with one sentence, alone."""
    lines = done.stderr.splitlines()
    assert done.returncode not in {0, -6, -11}, done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    assert said in lines[0], done.stderr
    assert len(lines[0]) <= _SENTENCE_MAX_CHARACTERS
    assert "Traceback" not in done.stderr + done.stdout


def _run(mistake: Mistake, folder: Path) -> None:
    file, env = folder / "a-file", folder / ".env"
    file.touch()
    env.write_bytes(mistake.env.replace(b"FILE\n", bytes(file) + b"\n"))
    places = {"FOLDER": str(folder), "FILE": str(file)}
    words = []
    for word in mistake.arguments.split():
        for name, path in places.items():
            word = word.replace(name, path)  # noqa: PLW2901 - one name after the other
        words.append(word)
    done = _polystream(words, POLYSTREAM_ENV_FILE=str(env) if mistake.env else os.devnull)
    _check(done, mistake.said.replace("FOLDER", str(folder)))


@pytest.mark.parametrize("mistake", _COMMAND_LINE, ids=str)
def test_a_mistake_on_the_command_line(mistake: Mistake, tmp_path: Path) -> None:
    """It is told with what to write instead."""
    _run(mistake, tmp_path)


@pytest.mark.parametrize("mistake", _ENV, ids=str)
def test_a_mistake_in_the_settings_file(mistake: Mistake, tmp_path: Path) -> None:
    """It is told with its line, before anything is started."""
    _run(mistake, tmp_path)
    assert not (tmp_path / "postgresql").exists()


def test_a_settings_file_that_is_a_folder(tmp_path: Path) -> None:
    """As an editor or an archive may leave one."""
    (tmp_path / ".env").mkdir()
    options = ("--detach", "--no-browser", "--data-dir", str(tmp_path / "data"))
    _check(_polystream(("up", *options), POLYSTREAM_ENV_FILE=str(tmp_path / ".env")), ".env is a folder")


@pytest.mark.parametrize("module", ["gateway", "monitor", "processor", "stack.provision", "registry"])
def test_a_service_that_is_started_by_hand(module: str, tmp_path: Path) -> None:
    """It says the same, and goes by no file of the working folder."""
    (tmp_path / ".env").write_text('LOG_LEVEL="open\n')
    arguments = [*("-m", module), *(("--store", "redis") if module == "processor" else ())]
    name = "SCHEMA_REGISTRY_PORT" if module == "registry" else "LOG_LEVEL"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=os.environ | {name: "abc"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    _check(done, f"{name}, in the environment, is 'abc'")
    assert done.returncode == 2


def test_engines_that_are_not_there(tmp_path: Path) -> None:
    """All of them are named at once, each with the setting that says where it is."""
    first = free_port_run(5)
    variables = {
        "POSTGRES_PORT": str(first),
        "MONGODB_URL": f"mongodb://127.0.0.1:{first + 1}/x",
        "REDIS_URL": f"redis://127.0.0.1:{first + 2}/0",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{first + 3}",
        "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{first + 4}",
        "STORE_WAIT_MAX_S": "0.5",
    }
    options = ("--engines", "external", "--detach", "--no-browser", "--port-offset", str(free_offset()))
    done = _polystream(("up", *options, "--data-dir", str(tmp_path)), POLYSTREAM_ENV_FILE=os.devnull, **variables)
    _check(done, "these do not answer: PostgreSQL at 127.0.0.1:")
    for name in ("POSTGRES_HOST, POSTGRES_PORT", "MONGODB_URL", "REDIS_URL", "KAFKA_BOOTSTRAP_SERVERS"):
        assert f"({name})" in done.stderr
    assert "waiting for PostgreSQL" in done.stdout


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """It says which, by whom, and how to start elsewhere."""
    offset = free_offset()
    with _listening(8000 + offset):
        options = ("--detach", "--no-browser", "--port-offset", str(offset), "--data-dir", str(tmp_path))
        done = _polystream(("up", *options), POLYSTREAM_ENV_FILE=os.devnull)
    _check(done, f"{8000 + offset} (rest) is in use")
    assert "stop what uses them, or start with --port-offset" in done.stderr


def test_nothing_runs_and_status_is_asked_for(tmp_path: Path) -> None:
    """It is an answer, on standard output, with exit code 3."""
    done = _polystream(("status", "--data-dir", str(tmp_path)))
    assert done.stdout == f"stopped: nothing runs on {tmp_path}; `up` starts it\n"
    assert (done.returncode, done.stderr) == (3, "")


def test_a_second_start_on_the_same_folder(platform: Platform) -> None:
    """It says how to see and stop the first."""
    options = ("--detach", "--no-browser", "--data-dir", str(platform.data_dir))
    _check(_polystream(("up", *options), POLYSTREAM_ENV_FILE=os.devnull), "`status` shows it and `down` stops it")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("explain", _NOBODYS_ID), "correlation_id: there is no operation with this correlation ID"),
        (("dlq", "show", "0:999999"), "there is no dead letter 0:999999: `dlq list` shows"),
        (("dlq", "redrive"), "say which dead letters, by PARTITION:OFFSET or correlation ID, or --all"),
        (("dlq", "redrive", "0:0", "--reason", "X"), "leave them out where dead letters are named"),
    ],
    ids=["an ID of nothing", "no such dead letter", "no dead letter named", "a filter beside a name"],
)
def test_a_mistake_while_the_platform_runs(platform: Platform, arguments: Sequence[str], said: str) -> None:
    """What is asked for is not there, or not clear."""
    _check(platform.command(*arguments), said)


@contextmanager
def _listening(port: int) -> Iterator[None]:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", port))
        server.listen()
        yield
