"""The SDK's services, as they are generated from protos made for a test."""

import ast
from pathlib import Path

import pytest

from tests.contract.compiling import Compiled, compile_protos

_HEAD = """\
syntax = "proto3";
package polystream.v1;
import "google/api/annotations.proto";
import "google/protobuf/duration.proto";
import "polystream/options/v1/options.proto";
message Operation {}
"""
_THINGS = """
// All about things.
service ThingService {
  // Makes a thing, with a "name".
  //
  // Costs nothing.
  rpc MakeThing(MakeThingRequest) returns (Operation) {
    option (google.api.http) = {post: "/v1/owners/{owner_id}/things" body: "*"};
    option (polystream.options.v1.command) = {key: "owner_id" result: "polystream.v1.Thing"};
  }
  // Breaks a thing.
  rpc BreakThing(BreakThingRequest) returns (Operation) {
    option (polystream.options.v1.command) = {key: "owner_id" result: "polystream.v1.Thing"};
  }
  rpc ListThings(ListThingsRequest) returns (ListThingsResponse);
  rpc FollowThing(BreakThingRequest) returns (stream Thing);
}
message Thing {
  enum Kind { KIND_UNSPECIFIED = 0; }
  string name = 1;
}
message MakeThingRequest {
  // What it is called.
  string name = 1;
  // Who has it.
  int64 owner_id = 2;
  optional bool from = 3;
  Thing.Kind kind = 4;
  repeated Thing parts = 5;
  map<string, Thing.Kind> kinds = 6;
  google.protobuf.Duration age = 7;
  bytes data = 8;
  string request_id = 9;
}
message BreakThingRequest { int64 owner_id = 1; }
message ListThingsRequest { string page_token = 1; }
message ListThingsResponse { repeated Thing things = 1; string next_page_token = 2; repeated string notes = 3; }
"""


def _compiled(folder: Path, text: str, name: str = "things.proto") -> Compiled:
    return compile_protos(folder, "sdk_plugin", {name: _HEAD + text})


def test_a_method_has_the_fields_of_its_request(tmp_path: Path) -> None:
    """Fields are keyword arguments of Python's types, those in the REST path first and required."""
    done = _compiled(tmp_path, _THINGS)
    assert done.exit_status == 0, done.messages
    tree = ast.parse(done.files["things.py"])
    service = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    methods = {node.name: node for node in service.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)}
    arguments = methods["make_thing"].args
    assert arguments.posonlyargs == []
    assert [argument.arg for argument in arguments.args] == ["self"]
    assert [
        f"{argument.arg}: {ast.unparse(argument.annotation or ast.Constant(0))}"
        + (f" = {ast.unparse(default)}" if default else "")
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ] == [
        "owner_id: int",
        "name: str = ''",
        "from_: bool | None = None",
        "kind: ThingKind = ThingKind(0)",
        "parts: Sequence[Thing] = ()",
        "kinds: Mapping[str, ThingKind] | None = None",
        "age: timedelta | None = None",
        "data: bytes = b''",
        "request_id: str = ''",
        "timeout_s: float | None = None",
        "traceparent: str | None = None",
    ]
    returns = {name: ast.unparse(node.returns) for name, node in methods.items() if node.returns}
    assert returns["make_thing"] == "OperationHandle[Thing]"
    assert returns["list_things"] == "Pager[ListThingsResponse, Thing]"
    assert returns["follow_thing"] == "AsyncIterator[Thing]"
    docstring = ast.get_docstring(methods["make_thing"]) or ""
    assert docstring.startswith("Makes a thing, with a 'name'.\n\nCosts nothing.\n\nArgs:\n    owner_id: Who has it.")


def test_a_command_without_request_id_is_not_resendable(tmp_path: Path) -> None:
    """Only a command that can carry a request_id is sent again when it is not known whether it arrived."""
    text = _compiled(tmp_path, _THINGS).files["things.py"]
    make, rest = text.split("async def break_thing")
    breaks, rest = rest.split("def list_things")
    assert "make_command(" in make
    assert "make_request(" in breaks
    assert "resendable" not in make + rest
    assert "resendable=False" in breaks


def test_a_new_service_is_there_by_its_files_name(tmp_path: Path) -> None:
    """The class of all services has each under the name of its proto file, with its comment."""
    text = _compiled(tmp_path, _THINGS).files["__init__.py"]
    assert 'self.things = ThingService(calls)\n        """All about things."""' in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("service A { rpc Send(stream M) returns (M); } message M {}", "streams requests"),
        ("service A { rpc Send(M) returns (M); } message M { int32 timeout_s = 1; }", "an option of every call"),
        ("service A {} service B {}", "2 services"),
        (
            "service A { rpc List(M) returns (M); } message M { string page_token = 1; string next_page_token = 2; }",
            "one repeated message",
        ),
    ],
)
def test_what_has_no_form_is_told(text: str, message: str, tmp_path: Path) -> None:
    """What the SDK cannot show fails the generation with a sentence."""
    done = _compiled(tmp_path, text)
    assert done.exit_status != 0
    assert message in done.messages
