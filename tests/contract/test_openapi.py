"""The OpenAPI document: complete, linked, and true to the protos."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2

from mesh.catalog import load_catalog
from mesh.errors import Reason
from mesh.http_status import http_status
from tests.contract.compiling import compile_protos

_ROOT = Path(__file__).parents[2]
_DOCUMENT: dict[str, Any] = json.loads((_ROOT / "gen" / "openapi" / "openapi.json").read_text(encoding="utf-8"))
_CATALOG = load_catalog()
_NO_NUL = r"^[^\u0000]*$"
_GOLDEN = Path(__file__).parent / "golden"
_INHERITED = (
    ("post", "/usuarios"),
    ("post", "/usuarios/{user_id}/assinatura"),
    ("post", "/usuarios/{user_id}/pagamento"),
    ("post", "/usuarios/{user_id}/config"),
    ("post", "/historico-visualizacao"),
    ("get", "/historico-visualizacao/{user_id}"),
    ("post", "/recomendacoes/gerar"),
    ("get", "/recomendacoes/{user_id}"),
    ("post", "/cache/conteudo/{content_id}"),
    ("get", "/cache/conteudo/{content_id}"),
    ("get", "/status/{correlation_id}"),
    ("get", "/health"),
)


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, verbs in _DOCUMENT["paths"].items():
        for verb, operation in verbs.items():
            yield verb, path, operation


def _resolve(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = _DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an operation's body; of one that demo data may fill, that of a whole one."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    return _resolve(schema["anyOf"][0] if "anyOf" in schema else schema)


def test_every_binding_is_an_operation() -> None:
    """The document has an operation for each HTTP binding of each method, additional ones included, and no other."""
    bound = []
    for service in _CATALOG.services:
        for method in service.methods:
            rule = method.GetOptions().Extensions[annotations_pb2.http]
            for one in (rule, *rule.additional_bindings):
                verb = one.WhichOneof("pattern")
                bound.append((verb, getattr(one, verb)))
    assert sorted((verb, path) for verb, path, _ in _operations()) == sorted(bound)


@pytest.mark.parametrize(("verb", "path"), _INHERITED)
def test_inherited_path_is_there_under_its_own_tag(verb: str, path: str) -> None:
    """Each path from before this API is described, apart from the others."""
    assert _DOCUMENT["paths"][path][verb]["tags"] == ["Inherited paths"]


def test_versioned_paths_are_under_their_service() -> None:
    """Any other path is under the tag of its service, and every tag is declared."""
    services = {service.name for service in _CATALOG.services}
    for _, path, operation in _operations():
        assert set(operation["tags"]) <= (services if path.startswith("/v1/") else {"Inherited paths"})
    assert {tag["name"] for tag in _DOCUMENT["tags"]} == services | {"Inherited paths"}


def test_operations_are_told_apart_and_described() -> None:
    """Operation IDs are unique; each operation has a summary, and a description that begins with it."""
    operations = [operation for _, _, operation in _operations()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert operation["description"].startswith(operation["summary"])


def test_errors_are_google_rpc_status() -> None:
    """Every operation answers errors with google.rpc.Status, and the document says what each HTTP status means."""
    for _, _, operation in _operations():
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Error"}
    error = _DOCUMENT["components"]["responses"]["Error"]
    assert set(_resolve(error["content"]["application/json"]["schema"])["properties"]) == {"code", "message", "details"}
    answered = {http_status(reason.value.code, reason.name) for reason in Reason}
    assert answered <= {int(status) for status in re.findall(r"\b[45]\d\d\b", error["description"])}
    assert set(error["headers"]) == {"x-correlation-id", "retry-after", "allow"}


def test_streams_are_lines_or_events() -> None:
    """As the header `accept` asks; what is no stream is JSON alone."""
    streams = {"application/json", "application/x-ndjson", "text/event-stream"}
    for _, _, operation in _operations():
        is_stream = operation["operationId"].startswith("Watch")
        assert set(operation["responses"]["200"]["content"]) == (streams if is_stream else {"application/json"})


def test_references_lead_somewhere_and_nothing_is_left_over() -> None:
    """Each reference has its schema, and each schema its reference."""
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(_DOCUMENT)))
    assert referred == set(_DOCUMENT["components"]["schemas"])


def test_path_variables_are_parameters() -> None:
    """Each variable of a path is a required parameter, and is not asked for again in the body."""
    for _, path, operation in _operations():
        names = re.findall(r"\{(\w+)\}", path)
        declared = [p["name"] for p in operation.get("parameters", ()) if p["in"] == "path" and p["required"]]
        assert declared == names
        if "requestBody" in operation:
            assert not set(names) & set(_body(operation)["properties"])


def test_names_are_snake_case() -> None:
    """Properties and parameters have the protos' own names."""
    schemas = _DOCUMENT["components"]["schemas"].values()
    names = [name for schema in schemas for name in schema.get("properties", ())]
    names += [p["name"] for _, _, operation in _operations() for p in operation.get("parameters", ())]
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


@pytest.mark.parametrize("command", sorted(_CATALOG.commands))
def test_command_takes_what_its_golden_examples_hold(command: str) -> None:
    """Every field of a command's good examples is a parameter or a property of the operation."""
    operation = next(op for _, _, op in _operations() if op["operationId"] == command)
    known = {parameter["name"] for parameter in operation.get("parameters", ())}
    if "requestBody" in operation:
        known |= set(_body(operation)["properties"])
    examples = json.loads((_GOLDEN / f"{command}.json").read_text(encoding="utf-8"))
    assert {name for request in examples["good"] for name in request} <= known


def test_query_aliases_are_described() -> None:
    """Query parameters with a name of their own on a path are described under the one that its callers know."""
    operation = _DOCUMENT["paths"]["/historico-visualizacao"]["post"]
    assert [(p["name"], p["in"]) for p in operation["parameters"]] == [("user_id", "query"), ("conteudo_id", "query")]
    assert not {"user_id", "content_id"} & set(_body(operation)["properties"])


def _silent_paths() -> list[str]:
    return [path for _, path, op in _operations() if len(_forms(op)) == 2]  # whole, or silent


def _forms(operation: dict[str, Any]) -> list[dict[str, Any]]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return list(content.get("schema", {}).get("anyOf", []))


def test_demo_data_is_for_the_inherited_paths() -> None:
    """Where the earlier demo took a call without a body, the document does; nowhere else."""
    assert sorted(_silent_paths()) == [
        "/cache/conteudo/{content_id}",
        "/historico-visualizacao",
        "/recomendacoes/gerar",
        "/usuarios",
        "/usuarios/{user_id}/assinatura",
        "/usuarios/{user_id}/config",
        "/usuarios/{user_id}/pagamento",
    ]


@pytest.mark.parametrize("path", _silent_paths())
def test_what_demo_data_fills_may_be_left_out(path: str) -> None:
    """A body is whole, or says nothing; none is asked for."""
    operation = _DOCUMENT["paths"][path]["post"]
    assert operation["requestBody"]["required"] is False
    _, silent = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    schema = _resolve(silent)
    assert schema["additionalProperties"] is False
    said = {name for name, value in schema["properties"].items() if value != {"type": "null"}}
    assert all(name.endswith("_id") for name in said)


@pytest.mark.parametrize(
    ("operation_id", "required"),
    [
        ("CreateUser", True),
        ("RecordView", True),
        ("RecordView_2", True),
        ("UpdateUser", True),
        ("UpdatePreferences", True),
        ("UpdateSession", True),
        ("GenerateRecommendations", True),
        ("GenerateRecommendations_3", False),
        ("CancelPayment", False),
    ],
)
def test_a_body_is_asked_for_where_a_command_has_to_say_something(operation_id: str, required: bool) -> None:
    """Which is in the body where neither the path nor demo data has it."""
    operation = next(op for _, _, op in _operations() if op["operationId"] == operation_id)
    assert operation["requestBody"]["required"] is required
    assert _forms(operation) == []


@pytest.mark.parametrize(
    ("body", "fields"), [("UpdateUserBody", ["name", "email"]), ("UpdatePreferencesBody", ["language", "theme"])]
)
def test_an_update_asks_for_one_of_its_fields(body: str, fields: list[str]) -> None:
    """Null is none."""
    asked = {form["required"][0]: form for form in _DOCUMENT["components"]["schemas"][body]["anyOf"]}
    assert set(fields) <= set(asked)
    assert all(form["properties"] == {name: {"not": {"type": "null"}}} for name, form in asked.items())


def test_every_command_has_an_example_of_its_own_fields() -> None:
    """What "Try it out" begins with is a golden example, less what the path and the query give."""
    for _, _, operation in _operations():
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            assert content["example"].keys() <= _body(operation)["properties"].keys()
        assert all("example" in p for p in operation.get("parameters", ()) if p["in"] == "path")
    created = next(op for _, _, op in _operations() if op["operationId"] == "CreateUser")
    assert created["requestBody"]["content"]["application/json"]["example"]["name"] == "Ana Souza"


def test_requests_are_closed_and_take_null_for_nothing() -> None:
    """Other fields are refused; a field that may be left out may be null too."""
    user = _DOCUMENT["components"]["schemas"]["CreateUserRequest"]
    assert user["additionalProperties"] is False
    assert user["properties"]["request_id"]["type"] == ["string", "null"]
    assert user["properties"]["name"]["type"] == "string"


def test_rules_are_said_in_the_schema() -> None:
    """Validation rules become lengths, patterns, bounds, formats and the values that are accepted."""
    schemas = _DOCUMENT["components"]["schemas"]
    user = schemas["CreateUserRequest"]
    assert user["required"] == ["name", "email", "cpf"]
    assert user["properties"]["name"].items() >= {"minLength": 1, "maxLength": 200}.items()
    assert user["properties"]["email"]["format"] == "email"
    assert re.fullmatch(user["properties"]["cpf"]["pattern"], "529.982.247-25")
    assert user["properties"]["cpf"]["format"] == "cpf"
    content = schemas["CacheContentBody"]["properties"]
    assert content["kind"]["enum"] == ["MOVIE", "SERIES", "DOCUMENTARY"]
    assert content["genres"]["maxItems"] == 10
    assert content["genres"]["items"] == {"type": "string", "minLength": 1, "maxLength": 50, "pattern": _NO_NUL}
    attributes = content["attributes"]
    assert attributes["additionalProperties"] == {"type": "string", "maxLength": 500, "pattern": _NO_NUL}
    assert attributes["propertyNames"] == {"minLength": 1, "maxLength": 50, "pattern": _NO_NUL}
    assert content["ttl_seconds"].items() >= {"minimum": 0, "maximum": 2592000}.items()


def test_64_bit_integers_are_strings_in_answers() -> None:
    """An answer's 64-bit integer is a string; a request may hold either."""
    schemas = _DOCUMENT["components"]["schemas"]
    assert schemas["User"]["properties"]["user_id"]["type"] == "string"
    number, null = schemas["CreateUserRequest"]["properties"]["user_id"]["anyOf"]
    assert null == {"type": "null"}
    assert [option["type"] for option in _resolve(number)["anyOf"]] == ["integer", "string"]


@pytest.mark.parametrize(
    ("schema", "fits", "does_not"),
    [
        ("RecordViewBody", {"watch_time": "2099-12-31T00:00:00Z"}, {"watch_time": "2100-01-01T00:00:00Z"}),
        ("WaitOperationBody", {"timeout": "60s"}, {"timeout": "60.5s"}),
        ("WaitOperationBody", {"timeout": "0.25s"}, {"timeout": "-1s"}),
    ],
)
def test_bounds_of_texts_are_patterns(schema: str, fits: dict[str, str], does_not: dict[str, str]) -> None:
    """Times and durations, which are texts in JSON, have their bounds in a pattern."""
    for (name, value), other in zip(fits.items(), does_not.values(), strict=True):
        pattern = _DOCUMENT["components"]["schemas"][schema]["properties"][name]["pattern"]
        assert re.search(pattern, value)
        assert not re.search(pattern, other)


_HEAD = """\
syntax = "proto3";
package trial.v1;
import "google/api/annotations.proto";
import "google/rpc/status.proto";
message Thing { string name = 1; google.rpc.Status status = 2; }
service Trial {
"""


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        pytest.param(
            'rpc A(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/a"}; }'
            'rpc B(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/a"}; }',
            "trial.proto: trial.v1.Trial.B: get /v1/a is bound already",
            id="same path twice",
        ),
        pytest.param(
            'rpc A(Thing) returns (Thing) { option (google.api.http) = {post: "/v1/a" body: "name"}; }',
            'trial.proto: trial.v1.Trial.A: only body: "*" and no body are written here',
            id="part as body",
        ),
        pytest.param(
            'rpc A(Thing) returns (Thing) { option (google.api.http) = {custom: {kind: "LOCK" path: "/v1/a"}}; }',
            "trial.proto: trial.v1.Trial.A: the binding custom has no place in OpenAPI",
            id="custom verb",
        ),
    ],
)
def test_what_cannot_be_described_is_refused(tmp_path: Path, methods: str, told: str) -> None:
    """A binding that the document cannot hold fails the build, and says where."""
    done = compile_protos(tmp_path, "openapi_plugin", {"trial.proto": _HEAD + methods + "}"})
    assert done.exit_status != 0
    assert told in done.messages
