"""The contract gate: what it catches, what it lets through, and what it says to do instead."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contracts import check, releases, third_party
from contracts.check import Break, avro_breaks, breaks, proto_breaks
from contracts.releases import Contracts, ReleaseError, current, in_git, last_tag, released

_CHECKOUT = Path(__file__).parents[2]
_BEFORE = """\
syntax = "proto3";
package polystream.trial.v1;
import "buf/validate/validate.proto";
message Told {
  int64 id = 1;
  string name = 2 [(buf.validate.field).string.max_len = 200];
  State state = 3;
  repeated string tags = 4;
  enum State { STATE_UNSPECIFIED = 0; ON = 1; OFF = 2; }
}
message Answer {}
service TrialService { rpc Tell(Told) returns (Answer); }
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one proto more than this one, and what that one was released as."""
    third_party.fill(_CHECKOUT / "build" / "protos", search_path=os.environ["PATH"])
    root = tmp_path_factory.mktemp("checkout")
    for name in ("proto", "build/protos", "gen/descriptors.binpb", "schemas"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (_CHECKOUT / name).is_dir() else shutil.copyfile
        copy(_CHECKOUT / name, root / name)
    shutil.copyfile(_CHECKOUT / "buf.yaml", root / "buf.yaml")
    _proto(root).parent.mkdir(parents=True)
    return root


@pytest.fixture(scope="module")
def release(checkout: Path) -> Contracts:
    """The release that had the proto as it stands above."""
    _proto(checkout).write_text(_BEFORE)
    out = checkout / "released.binpb"
    buf = shutil.which("buf", path=str(_CHECKOUT / ".venv" / "bin")) or "buf"
    arguments = ("build", "--path", "proto/polystream", "--as-file-descriptor-set", "-o", str(out))
    subprocess.run([buf, *arguments], cwd=checkout, check=True, timeout=60)
    return Contracts("1.0.0", out.read_bytes(), {})


def _proto(root: Path) -> Path:
    return root / "proto" / "polystream" / "trial" / "v1" / "trial.proto"


def _after(checkout: Path, release: Contracts, old: str, new: str) -> list[Break]:
    """Return what breaks when one text of the proto is replaced by another."""
    assert old in _BEFORE
    _proto(checkout).write_text(_BEFORE.replace(old, new))
    return proto_breaks(checkout, release)


@pytest.mark.parametrize(
    ("old", "new", "rule", "what", "instead"),
    [
        ("string name", "string full_name", "FIELD_SAME_NAME", '"name" to "full_name"', "keep the name"),
        ("  int64 id = 1;\n", "", "FIELD_NO_DELETE", 'field "1" with name "id"', "mark it `deprecated = true`"),
        ("  int64 id = 1;\n", "reserved 1;", "FIELD_NO_DELETE", 'field "1" with name "id"', "clients send it"),
        ("int64 id", "string id", "FIELD_SAME_TYPE", '"int64" to "string"', "add a field of the new kind"),
        ("int64 id", "repeated int64 id", "FIELD_SAME_CARDINALITY", '"id"', "add a field of the new kind"),
        ("repeated string tags", "string tags", "FIELD_SAME_CARDINALITY", '"tags"', "add a field of the new kind"),
        ("OFF = 2;", "", "ENUM_VALUE_NO_DELETE", 'enum value "2"', "keep the value"),
        ("OFF = 2;", "DONE = 2;", "ENUM_VALUE_SAME_NAME", '"OFF" to "DONE"', "add one with the new name"),
        ("rpc Tell(Told)", "rpc Say(Told)", "RPC_NO_DELETE", '"Tell"', "keep it and mark it"),
        ("Tell(Told) returns", "Tell(Answer) returns", "RPC_SAME_REQUEST_TYPE", '"Tell"', "add one of the new form"),
        ("int64 id = 1;", "int64 id = 1 [(buf.validate.field).required = true];", "FIELD_REQUIRED", "Told.id", "leave"),
        ("max_len = 200", "min_len = 1", "FIELD_REQUIRED", "Told.name has to be set now (string.min_len)", "leave"),
        (
            "int64 id = 1;",
            "int64 id = 1; string added = 9 [(buf.validate.field).string.email = true];",
            "FIELD_REQUIRED",
            "Told.added",
            "leave the rule out",
        ),
    ],
)
def test_each_kind_of_break_is_caught_with_a_remedy(
    checkout: Path, release: Contracts, old: str, new: str, rule: str, what: str, instead: str
) -> None:
    """Renamed, removed, retyped or made required: one sentence says what it is, and one what to do instead."""
    found = _after(checkout, release, old, new)
    assert [broken.rule for broken in found] == [rule]
    assert what in found[0].what
    assert instead in found[0].instead
    assert found[0].where.startswith("proto/polystream/trial/v1/trial.proto")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int64 id = 1;", "int64 id = 1; string added = 9;"),
        ("int64 id = 1;", "int64 id = 1; optional string added = 9 [(buf.validate.field).string.email = true];"),
        ("int64 id = 1;", "int64 id = 1 [deprecated = true];"),
        ("OFF = 2;", "OFF = 2; DONE = 3;"),
        ("max_len = 200", "max_len = 300"),
        (
            "message Answer {}",
            "message Answer {} message New { string name = 1 [(buf.validate.field).required = true]; }",
        ),
        ("rpc Tell(Told) returns (Answer);", "rpc Tell(Told) returns (Answer); rpc Say(Told) returns (Answer);"),
    ],
)
def test_what_clients_survive_is_let_through(checkout: Path, release: Contracts, old: str, new: str) -> None:
    """Fields, values and RPCs that are added, and what is merely deprecated."""
    assert _after(checkout, release, old, new) == []


def test_a_rule_that_names_a_renamed_field_hides_nothing(checkout: Path, release: Contracts) -> None:
    """A rule of the message that no longer fits is a consequence of the break; alone, it is told as what it is."""
    rule = '  option (buf.validate.message).cel = {id: "r", message: "m", expression: "this.name != \'x\'"};\n'
    (broken,) = _after(checkout, release, "  string name", f"{rule}  string full_name")
    assert broken.rule == "FIELD_SAME_NAME"
    with pytest.raises(check.CheckError, match=r"polystream\.trial\.v1\.Told"):
        _after(checkout, release, "  string name", f"{rule.replace('this.name', 'this.nom')}  string name")


def test_a_file_that_is_gone_is_a_break(checkout: Path, release: Contracts) -> None:
    """Files of others, which a release has as imports, are not ours to miss."""
    _proto(checkout).unlink()
    found = proto_breaks(checkout, release)
    assert [(broken.rule, broken.where) for broken in found] == [("FILE_NO_DELETE", "proto")]
    assert "polystream/trial/v1/trial.proto" in found[0].what


def _record(**fields: Any) -> str:
    listed = [{"name": name, **(kind if isinstance(kind, dict) else {"type": kind})} for name, kind in fields.items()]
    return json.dumps({"type": "record", "name": "trial.R", "fields": listed})


def _enum(*symbols: str, **attributes: str) -> dict[str, Any]:
    kind = {"type": "enum", "name": "trial.E", "symbols": list(symbols), **attributes}
    return {"type": kind, "default": symbols[0]}


_LONG_0: dict[str, Any] = {"type": "long", "default": 0}


@pytest.mark.parametrize(
    ("before", "now", "rule"),
    [
        (_record(a=_LONG_0), _record(a={"type": "string", "default": ""}), "AVRO_TYPE"),
        (_record(a=_LONG_0), _record(a={"type": "int", "default": 0}), "AVRO_TYPE"),
        (_record(a=_LONG_0), _record(a=_LONG_0, b="long"), "AVRO_NO_DEFAULT"),
        (_record(a=_LONG_0, b="long"), _record(a=_LONG_0), "AVRO_NO_DEFAULT"),
        (_record(a=_enum("A", "B")), _record(a=_enum("A", "B", "C")), "AVRO_ENUM"),
        (_record(a=_LONG_0), _record(a=_LONG_0).replace("trial.R", "trial.Other"), "AVRO_TYPE"),
    ],
)
def test_avro_is_compared_in_both_directions(before: str, now: str, rule: str) -> None:
    """What one side cannot read of the other is told, with the release and a remedy."""
    found = avro_breaks({"trial.R": now}, [Contracts("1.0.0", b"", {"trial.R": before})])
    assert [broken.rule for broken in found] == [rule] * len(found) != []
    assert all("release 1.0.0" in broken.what and broken.instead for broken in found)


def test_avro_is_compared_with_every_release() -> None:
    """What fits the last one may break the one before, and records of both are in Kafka."""
    first, second = _record(a=_LONG_0, b=_LONG_0), _record(a=_LONG_0)
    now = {"trial.R": _record(a=_LONG_0, b={"type": "string", "default": ""})}
    history = [Contracts("1.0.0", b"", {"trial.R": first}), Contracts("1.1.0", b"", {"trial.R": second})]
    assert avro_breaks(now, history[1:]) == []
    found = avro_breaks(now, history)
    assert found
    assert all("release 1.0.0" in broken.what for broken in found)


def test_a_record_that_is_gone_is_a_break() -> None:
    """Its records are in Kafka still."""
    (found,) = avro_breaks({}, [Contracts("1.0.0", b"", {"trial.R": _record(a=_LONG_0)})])
    assert (found.rule, found.where) == ("AVRO_RECORD_NO_DELETE", "schemas/avro/trial.R.avsc")
    assert "are in Kafka" in found.instead


def test_this_checkout_breaks_nothing() -> None:
    """The gate itself: protos against the last release, Avro against all of them."""
    assert breaks(_CHECKOUT) == []


def test_the_command_tells_breaks_and_fails(
    checkout: Path, release: Contracts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1 and a remedy for a break, 0 without one, 2 where it cannot be told."""
    monkeypatch.setattr(check, "ROOT", checkout)
    monkeypatch.setattr(check, "released", lambda _: [release])
    monkeypatch.setattr(check, "last_tag", lambda _: None)
    _proto(checkout).write_text(_BEFORE)
    assert check.main([]) == 0
    _proto(checkout).write_text(_BEFORE.replace("string name", "string full_name"))
    assert check.main([]) == 1
    told = capsys.readouterr().out
    assert 'proto/polystream/trial/v1/trial.proto:6: Field "2" on message "Told" changed name' in told
    assert "\n  Instead: keep the name" in told
    assert check.main(["--against", "no-such-ref"]) == 2
    assert "git has no contracts at no-such-ref" in capsys.readouterr().err


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, Callable[..., None]]:
    """A git repository, and how to call git in it."""

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, timeout=30)

    git("init", "-q")
    (tmp_path / "gen").mkdir()
    (tmp_path / "schemas" / "avro").mkdir(parents=True)
    return tmp_path, git


def test_releases_are_read_from_git(repository: tuple[Path, Callable[..., None]]) -> None:
    """By tag, the newest version that leads to what is checked out; or by any name that git knows."""
    root, git = repository
    assert last_tag(root) is None
    for version in ("0.9.0", "0.10.0"):
        (root / "gen" / "descriptors.binpb").write_bytes(version.encode())
        (root / "schemas" / "avro" / "trial.R.avsc").write_text(version)
        git("add", ".")
        git("commit", "-q", "-m", version)
        git("tag", f"v{version}")
    assert last_tag(root) == "v0.10.0"
    assert in_git("v0.9.0", root) == Contracts("v0.9.0", b"0.9.0", {"trial.R": "0.9.0"})
    with pytest.raises(ReleaseError, match="fetch it where the clone is shallow"):
        in_git("v3", root)


def test_a_release_is_written_and_read(tmp_path: Path) -> None:
    """The contracts of now are that release's, and older releases come before it."""
    for name in ("gen/descriptors.binpb", "schemas/avro/polystream.v1.CommandReceipt.avsc"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copyfile(_CHECKOUT / name, tmp_path / name)
    for version in ("0.10.0", "0.9.0"):
        releases.write_release(version, tmp_path)
    now = current(tmp_path)
    assert released(tmp_path) == [Contracts(name, now.descriptors, now.schemas) for name in ("0.9.0", "0.10.0")]
