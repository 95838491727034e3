"""The names of a JSON body's fields, which the edge tells the gateway, and the bodies that it refuses as JSON."""

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from google.rpc import code_pb2

from stack.edge.lua import FIELDS_HEADER
from tests.support.edge import Edge, error_info, running_edge, status_of, violations


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One edge for the module."""
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    """A REST client."""
    with httpx.Client(base_url=edge.url) as rest:
        yield rest


def _post(client: httpx.Client, body: str | bytes, **headers: str) -> httpx.Response:
    return client.post("/v1/users", content=body, headers={"content-type": "application/json", **headers})


def _named(edge: Edge) -> str | None:
    return edge.gateways.last_call.metadata.get(FIELDS_HEADER)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('{"name":"Ana"}', "name"),
        ('{"name":"Ana","e-mail":"x"}', "name,e-mail"),
        (' \t\r\n{ "name" : "Ana" , "x" : [ ] } \n', "name,x["),
        ("{}", None),
        ('{"a":{"b":{"c":1},"d":{}}}', "a{,a.b,a.b.c,a.d"),
        ('{"a":[{"b":1},{"b":2,"c":[[{"d":1}]]},3,"x"]}', "a[,a.b,a.c,a.c.d"),
        (r'{"name":"} , \"x\": {[ \\"}', "name"),
        (r'{"n\u0061me":"Ana","\u002Fb":1}', "name,/b"),
        (r'{"n\\u0061me":"Ana"}', "n%5Cu0061me"),
        (r'{"a\"b":1,"c\\":2,"d\/e":3,"f\n":4}', "a%22b,c%5C,d/e,f%0A"),
        ('{"a.b":1,"c,d":2,"e%":3}', "a%2Eb,c%2Cd,e%25"),
        ('{"açaí":1}', "a%C3%A7a%C3%AD"),
        (r'{"a\u00e7":1}', "a%5Cu00E7"),
        ('{"@type":"x","$ref":1}', "@type,$ref"),
        ('{"a":-0,"b":1.5e+3,"c":true,"d":false,"e":null}', "a,b,c,d,e!"),
        ('{"a": null,"b":\n[],"c":\t{"d":null}}', "a!,b[,c{,c.d"),
    ],
)
def test_names_reach_the_gateway(edge: Edge, client: httpx.Client, body: str, named: str | None) -> None:
    """Every field's dotted path is named once, in its order, with what is no name's character percent-encoded.

    Behind the body's own fields stands what their values are, where that is a list, an object or null.
    """
    assert _post(client, body).status_code == 200
    assert _named(edge) == named


@pytest.mark.parametrize("method", ["POST", "DELETE", "GET", "PATCH"])
def test_any_body_is_looked_at(edge: Edge, client: httpx.Client, method: str) -> None:
    """The transcoder reads the body of any method, so the edge does."""
    path = "/v1/users/7"
    if method == "POST":
        path = "/usuarios/7/assinatura"
    body = b'{"nam":"x"}'
    client.request(method, path, content=body, headers={"content-type": "application/json"}).raise_for_status()
    assert _named(edge) == "nam"


@pytest.mark.parametrize("body", [b"", b'{"name":"Ana"}'])
def test_clients_cannot_name_fields_themselves(edge: Edge, client: httpx.Client, body: bytes) -> None:
    """The header is the edge's own: a client's is dropped, with and without a body."""
    _post(client, body, **{FIELDS_HEADER: "forged"}).raise_for_status()
    assert _named(edge) == ("name" if body else None)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ('{"name":"Ana"', "line 1, column 14"),
        ('{"name":"Ana",}', "line 1, column 15"),
        ('{"name" "Ana"}', "line 1, column 9"),
        ("{name:1}", "line 1, column 2"),
        ("{'name':1}", "line 1, column 2"),
        ("{\"a\":'b'}", "line 1, column 6"),
        ('{\n  "a": 1,\n  "b" 2\n}', "line 3, column 7"),
        ('{"a":tru}', "line 1, column 6"),
        ('{"a":truex}', "line 1, column 6"),
        ('{"a":NaN}', "line 1, column 6"),
        ('{"a":Infinity}', "line 1, column 6"),
        ('{"a":}', "line 1, column 6"),
        ('{"a":[1,]}', "line 1, column 9"),
        ('{"a":[1 2]}', "line 1, column 9"),
        ('{"a":[1}', "line 1, column 8"),
        ('{"a":"b', "line 1, column 6"),
        ('{"a":"b\nc"}', "line 1, column 8"),
        ('{"a\\', "line 1, column 4"),
        ('{"a":"\\x"}', "line 1, column 7"),
        ('{"a":"\\u12g4"}', "line 1, column 7"),
        ('{"a":1}}', "line 1, column 8"),
        ('{"a":1} {"b":2}', "line 1, column 9"),
        ('{"a":1 /* c */}', "line 1, column 8"),
        ("[1]", "line 1, column 1"),
        ('"text"', "line 1, column 1"),
        ("null", "line 1, column 1"),
        ("   ", "line 1, column 4"),
        ('\ufeff{"a":1}', "line 1, column 1"),
        ('{"a":1\0}', "line 1, column 7"),
    ],
)
def test_malformed_json_tells_where(client: httpx.Client, body: str, place: str) -> None:
    """What is no JSON object is refused with the line and the column of the fault, in bytes."""
    response = _post(client, body.encode())
    assert response.status_code == 400
    status = status_of(response)
    assert error_info(status).reason == "MALFORMED_JSON"
    assert f" at {place}: " in status.message


@pytest.mark.parametrize(
    "body", ['{"user_id":1.2.3}', '{"user_id":--1}', '{"user_id":1e}', '{"":1}', b'{"name":"\xff"}']
)
def test_malformed_values_are_refused(client: httpx.Client, body: str | bytes) -> None:
    """What a text or a number holds is the transcoder's to judge; its refusal has the same shape."""
    response = _post(client, body)
    assert response.status_code == 400
    assert error_info(status_of(response)).reason in {"MALFORMED_JSON", "INVALID_FIELD"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"name":"a","name":"b"}', "name"),
        (r'{"name":"a","n\u0061me":"b"}', "name"),
        ('{"amount":{"units":1,"nanos":2,"units":3}}', "amount.units"),
        ('{"a":[{"b":1},{"b":2,"b":3}]}', "a.b"),
        ('{"a":{"b":1},"a":{"c":1}}', "a"),
    ],
)
def test_a_field_given_twice_is_refused(client: httpx.Client, body: str, field: str) -> None:
    """Which of two values is meant cannot be known."""
    response = _post(client, body)
    assert response.status_code == 400
    status = status_of(response)
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert error_info(status).reason == "DUPLICATE_FIELD"
    assert list(violations(status)) == [field]


@pytest.mark.parametrize("body", ['{"genres":[null]}', '{"genres":["a", null ]}', '{"genres":[[null]]}'])
def test_null_in_a_list_is_refused(client: httpx.Client, body: str) -> None:
    """JSON's mapping has no such thing; the transcoder would leave it out in silence."""
    response = _post(client, body)
    assert response.status_code == 400
    assert error_info(status_of(response)).reason == "INVALID_FIELD"
    assert violations(status_of(response)) == {"genres": "must not hold null"}


@pytest.mark.parametrize("opening", ['{"a":', '{"a":['])
def test_deep_nesting_is_refused(client: httpx.Client, opening: str) -> None:
    """Depth has a bound, far from what any message needs."""
    response = _post(client, opening * 1000)
    assert response.status_code == 400
    assert error_info(status_of(response)).reason == "JSON_TOO_DEEP"


def test_too_many_names_are_refused(client: httpx.Client) -> None:
    """The names must fit into a header that every gRPC server takes."""
    response = _post(client, json.dumps({f"field_{n}": 0 for n in range(2000)}))
    assert response.status_code == 400
    assert error_info(status_of(response)).reason == "TOO_MANY_FIELDS"
    assert _post(client, json.dumps({"x" * 6000: 0})).status_code == 200


def test_generated_bodies(edge: Edge, client: httpx.Client) -> None:
    """For any JSON the names are those that Python's parser finds."""
    rng = random.Random(7)
    for _ in range(300):
        value = {f"k{n}": _value(rng, 0) for n in range(rng.randint(0, 6))}
        text = json.dumps(value, indent=rng.choice([None, 1]), ensure_ascii=rng.random() < 0.5)
        assert _post(client, text.encode()).status_code == 200, text
        assert _named(edge) == (",".join(_marked(value, dict.fromkeys(_paths(value, "")))) or None), text
    assert edge.stat("http.edge.lua.errors") == 0


def test_broken_bodies(edge: Edge, client: httpx.Client) -> None:
    """Whatever Python's strict parser refuses is refused, and nothing breaks the edge."""
    rng = random.Random(11)
    for _ in range(400):
        text = bytearray(json.dumps({f"k{n}": _value(rng, 0) for n in range(3)}).encode())
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            text[at : at + rng.randint(0, 1)] = rng.choice(
                [b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"1", b"x"]
            )
        response = _post(client, bytes(text))
        if not _is_object(bytes(text)):
            assert response.status_code == 400, text
        assert response.status_code in {200, 400}, text
        if response.status_code == 400:
            status_of(response)
    assert edge.stat("http.edge.lua.errors") == 0


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.randint(0, 7 if depth < 4 else 4)
    scalars: tuple[Any, ...] = (
        None,
        True,
        rng.randint(-5, 10**12),
        rng.random(),
        rng.choice(['"', "}{", "\\", "é:,", ""]),
    )
    if kind < len(scalars):
        return scalars[kind]
    if kind == 5:
        items = [_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
        return [item for item in items if item is not None]
    return {f"n{n}": _value(rng, depth + 1) for n in range(rng.randint(0, 3))}


def _paths(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _paths(item, prefix)
    elif isinstance(value, dict):
        for key, item in value.items():
            path = f"{prefix}.{key}" if prefix else key
            yield path
            yield from _paths(item, path)


def _marked(value: dict[str, Any], paths: Iterable[str]) -> Iterator[str]:
    marks = {list: "[", dict: "{", type(None): "!"}
    for path in paths:
        yield path + (marks.get(type(value[path]), "") if path in value else "")


def _is_object(text: bytes) -> bool:
    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    try:
        return isinstance(json.loads(text, parse_constant=refuse), dict)
    except (ValueError, RecursionError):
        return False
