"""A new command touches the proto, one handler and one example, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.support.platform import Platform
from tests.support.waiting import eventually

RPC = """
  // Gives a user a nickname, which stands for the name.
  rpc RenameUser(RenameUserRequest) returns (Operation) {
    option (google.api.http) = {
      post: "/v1/users/{user_id}:rename"
      body: "*"
    };
    option (polystream.options.v1.command) = {
      key: "user_id"
      stores: [POSTGRESQL]
      result: "polystream.v1.User"
    };
  }
}

// Request of RenameUser.
message RenameUserRequest {
  // Identifier of the user.
  int64 user_id = 1 [(buf.validate.field).int64.gt = 0];
  // The nickname, 1 to 50 characters.
  string name = 2 [
    (buf.validate.field).string = {
      min_len: 1
      max_len: 50
    },
    (polystream.options.v1.personal) = true
  ];
}
"""
HANDLER = '''"""RenameUser: gives a user a nickname."""

from collections.abc import Sequence

from polystream.v1.users_pb2 import RenameUserRequest, User
from psycopg import Cursor

from mesh.errors import PolystreamError, Reason
from processor.model import Delivery, Outcome

_UPDATE = """
UPDATE usuarios SET nome = novo.nome FROM unnest(%s::bigint[], %s::text[]) AS novo (user_id, nome)
WHERE usuarios.user_id = novo.user_id RETURNING usuarios.user_id
"""


def postgresql(batch: Sequence[Delivery], db: Cursor) -> Sequence[Outcome]:
    """Rename the users that exist."""
    requests = [delivery.request for delivery in batch]
    db.execute(_UPDATE, ([r.user_id for r in requests], [r.name for r in requests]))
    there = {row[0] for row in db.fetchall()}
    return [
        Outcome(result=User(user_id=r.user_id))
        if r.user_id in there
        else Outcome(refusal=PolystreamError(Reason.USER_NOT_FOUND))
        for r in requests
    ]
'''
EXAMPLE = {
    "good": [{"user_id": "1234", "name": "Aninha"}],
    "bad": [
        {"request": {"name": "Aninha"}, "field": "user_id", "rule": "int64.gt"},
        {"request": {"user_id": "1234"}, "field": "name", "rule": "string.min_len"},
        {"request": {"user_id": "1234", "name": "x" * 51}, "field": "name", "rule": "string.max_len"},
    ],
}


@pytest.fixture
def checkout(repository: Path, tmp_path: Path) -> Path:
    """Return a copy of the working tree to which the sample command was added."""
    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True)
    copy = tmp_path / "checkout"
    for name in listed.stdout.splitlines():
        if (repository / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository / name, copy / name)
    if (repository / "build" / "protos").exists():
        shutil.copytree(repository / "build" / "protos", copy / "build" / "protos")
    add_command(copy)
    return copy


def add_command(checkout: Path) -> None:
    """Add the sample command: three files are touched."""
    proto = checkout / "proto" / "polystream" / "v1" / "users.proto"
    service, rest = proto.read_text().split("\n}\n", 1)
    proto.write_text(f"{service}\n{RPC}{rest}")
    (checkout / "processor" / "handlers" / "rename_user.py").write_text(HANDLER)
    (checkout / "tests" / "contract" / "golden" / "RenameUser.json").write_text(json.dumps(EXAMPLE))


def run(checkout: Path, *arguments: str) -> None:
    """Run a Python module of the copy."""
    environment = {**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'gen' / 'python'}"}
    finished = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-5000:] + finished.stderr[-5000:]


@pytest.mark.timeout(240)
def test_three_files_make_a_command(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After generating, the contract tests accept it, and it runs from REST to its store."""
    run(checkout, "mesh.contracts.generate")
    run(
        checkout,
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/contract/test_golden.py",
        "tests/unit/test_lane_handlers.py",
    )

    monkeypatch.setenv("PYTHONPATH", f"{checkout}:{checkout / 'gen' / 'python'}")
    with Platform(tmp_path / "data", checkout=checkout) as platform:
        rest = platform.endpoints["rest"]
        answer = httpx.post(f"{rest}/v1/users/1234:rename", json={"name": "Aninha"})
        assert answer.json()["command"] == "RenameUser", answer.text

        def renamed() -> bool:
            with psycopg.connect(platform.endpoints["postgresql"]) as db:
                row = db.execute("SELECT nome FROM usuarios WHERE user_id = 1234").fetchone()
            return row == ("Aninha",)

        eventually(renamed, 15)
