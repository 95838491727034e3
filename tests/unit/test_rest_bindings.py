"""How path, query, body and header make a request: the rules of google/api/http.proto, one source a field."""

import json
from collections.abc import Callable

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from gateway.rest.query import MAX_QUERY_PARAMETERS
from gateway.rest.request_fields import MAX_FIELD_DEPTH
from mesh.errors import FieldFault, PolystreamError, Reason
from tests.support.rest_trial import Trial, one

Refusal = Callable[..., tuple[Reason, dict[str, str]]]

RPCS = """
  rpc Get(Thing) returns (Thing) { option (google.api.http) = { get: "/get/{name}" }; }
  rpc Typed(Thing) returns (Thing) { option (google.api.http) = {
    get: "/number/{number}"
    additional_bindings { get: "/small/{small}" }
    additional_bindings { get: "/natural/{natural}" }
    additional_bindings { get: "/large/{large}" }
    additional_bindings { get: "/is_on/{is_on}" }
    additional_bindings { get: "/ratio/{ratio}" }
    additional_bindings { get: "/share/{share}" }
    additional_bindings { get: "/data/{data}" }
    additional_bindings { get: "/colour/{colour}" }
    additional_bindings { get: "/note/{note}" }
    additional_bindings { get: "/left/{left}" }
  }; }
  rpc Multi(Thing) returns (Thing) { option (google.api.http) = {
    get: "/multi/{name=shelves/*/books/*}"
    additional_bindings { get: "/rest/{name=**}" }
    additional_bindings { get: "/fixed/{name=here}" }
  }; }
  rpc Nested(Thing) returns (Thing) { option (google.api.http) = { get: "/nested/{part.part.name}" }; }
  rpc Whole(Thing) returns (Thing) { option (google.api.http) = {
    post: "/whole/{name}" body: "*"
    additional_bindings { post: "/deep/{part.name}" body: "*" }
    additional_bindings { post: "/choice/{left}" body: "*" }
    additional_bindings { post: "/shape/{part.circle}" body: "*" }
  }; }
  rpc Field(Thing) returns (Thing) { option (google.api.http) = {
    patch: "/field/{part.name}" body: "part"
    additional_bindings { put: "/text/{name}" body: "note" }
    additional_bindings { put: "/list/{name}" body: "tags" }
    additional_bindings { put: "/parts/{name}" body: "parts" }
    additional_bindings { put: "/map/{name}" body: "labels" }
    additional_bindings { put: "/time/{name}" body: "made_time" }
    additional_bindings { put: "/middle/{name}" body: "middle" }
    additional_bindings { put: "/free/{name}" body: "free" }
  }; }
  rpc Answer(Thing) returns (Thing) { option (google.api.http) = {
    get: "/answer/part" response_body: "part"
    additional_bindings { get: "/answer/tags" response_body: "tags" }
    additional_bindings { get: "/answer/number" response_body: "number" }
    additional_bindings { get: "/answer/parts" response_body: "parts" }
    additional_bindings { get: "/answer/labels" response_body: "labels" }
    additional_bindings { get: "/answer/made_time" response_body: "made_time" }
    additional_bindings { get: "/answer/all" }
  }; }
  rpc Order(Thing) returns (Thing) {
    option (google.api.http) = { post: "/order/{name}" body: "*" };
    option (polystream.options.v1.command) = { key: "name" };
  }
  rpc OrderKeyless(Keyless) returns (Thing) {
    option (google.api.http) = { post: "/keyless" body: "*" };
    option (polystream.options.v1.command) = { key: "user_id" };
  }
  rpc Alias(Thing) returns (Thing) {
    option (google.api.http) = { post: "/new/{name}" body: "*" additional_bindings { post: "/alt" body: "*" } };
    option (polystream.options.v1.inherited) = {
      path: "/alt" query_aliases { key: "numero" value: "number" } query_aliases { key: "parte" value: "part" }
    };
  }
"""


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Return a service with bindings of every shape."""
    return Trial(RPCS)


@pytest.fixture
def read(trial: Trial) -> Callable[..., Message]:
    """Return what reads a request and returns its message."""
    return lambda *request: trial.read(*request)[1]


@pytest.fixture
def refusal(trial: Trial) -> Refusal:
    """Return what reads a request that is refused, and returns the reason and the faults by field."""

    def refused(*request: object) -> tuple[Reason, dict[str, str]]:
        with pytest.raises(PolystreamError) as error:
            trial.read(*request)  # type: ignore[arg-type] # as `Trial.read` has them
        assert all(fault.description for fault in error.value.faults)
        return error.value.reason, {fault.field: fault.description for fault in error.value.faults}

    return refused


def thing(trial: Trial, **fields: object) -> Message:
    """Return a request, from what its JSON would be."""
    return json_format.ParseDict(fields, trial.message()())


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("segment", "value"),
    [
        ("a", "a"), ("a%20b", "a b"), ("a+b", "a+b"), ("a%2Fb", "a/b"), ("a%2fb", "a/b"), ("%C3%A9", "é"),
        ("\xc3\xa9", "é"), ("%25", "%"), ("%2525", "%25"), ("a%3Ab", "a:b"), ("a:b", "a:b"), ("..", ".."), ("%00", "\0"),
        ("a;b=c", "a;b=c"), ("%F0%9F%8E%AC", "🎬"),
    ],
)  # fmt: skip
def test_one_segment_is_decoded_wholly(read: Callable[..., Message], trial: Trial, segment: str, value: str) -> None:
    """An encoded slash too; a plus is a plus."""
    assert read("GET", f"/get/{segment}") == thing(trial, name=value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/multi/shelves/1/books/2", "shelves/1/books/2"),
        ("/multi/shelves/a%20b/books/%C3%A9", "shelves/a b/books/é"),
        ("/multi/shelves/a%2Fb/books/c%2fd", "shelves/a%2Fb/books/c%2fd"),
        ("/multi/shelves/a%252Fb/books/c", "shelves/a%2Fb/books/c"),
        ("/rest/", ""),
        ("/rest/a/b%2Fc/%3F", "a/b%2Fc/?"),
        ("/rest/a%2Fb", "a%2Fb"),
        ("/fixed/here", "here"),
        ("/fixed/h%65re", "here"),
    ],
)
def test_several_segments_keep_an_encoded_slash(
    read: Callable[..., Message], trial: Trial, path: str, value: str
) -> None:
    """`**` is of several segments however many it takes; all else is decoded."""
    assert read("GET", path) == thing(trial, **({"name": value} if value else {}))


@pytest.mark.parametrize("segment", ["%", "a%", "%2", "%zz", "%e9", "%ff%fe", "\xe9", "%C3", "%ED%A0%80"])
def test_a_segment_that_cannot_be_decoded(refusal: Refusal, segment: str) -> None:
    """It is refused by the field's name, in one segment and in several."""
    assert refusal("GET", f"/get/{segment}")[0] is Reason.INVALID_FIELD
    for path in (f"/get/{segment}", f"/rest/a/{segment}/b"):
        reason, faults = refusal("GET", path)
        assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["name"])
        assert "%25" in faults["name"] or "UTF-8" in faults["name"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/number/-9223372036854775808", {"number": -(2**63)}),
        ("/small/2147483647", {"small": 2**31 - 1}),
        ("/natural/4294967295", {"natural": 2**32 - 1}),
        ("/large/18446744073709551615", {"large": 2**64 - 1}),
        ("/is_on/true", {"is_on": True}),
        ("/ratio/-1.5e3", {"ratio": -1500.0}),
        ("/ratio/NaN", {"ratio": "NaN"}),
        ("/share/0.5", {"share": 0.5}),
        ("/data/AP8%3D", {"data": "AP8="}),
        ("/colour/BLUE", {"colour": "BLUE"}),
        ("/colour/2", {"colour": 2}),
        ("/note/", None),
        ("/note/x", {"note": "x"}),
        ("/left/x", {"left": "x"}),
        ("/nested/x", {"part": {"part": {"name": "x"}}}),
    ],
)
def test_a_path_sets_fields_of_every_type(trial: Trial, path: str, fields: dict[str, object] | None) -> None:
    """By the rules of texts in JSON; a field below another one makes the messages on its way."""
    if fields is None:
        with pytest.raises(PolystreamError):
            trial.read("GET", path)
        return
    _, message, named = trial.read("GET", path)
    assert repr(message) == repr(thing(trial, **fields))
    assert named == set(fields)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("number", "x"), ("number", "9223372036854775808"), ("number", "1.5"), ("number", "%201"), ("number", "1_0"),
        ("number", "+1"), ("number", "0x1"), ("number", "%D9%A1"), ("small", "2147483648"), ("natural", "-1"),
        ("large", "18446744073709551616"), ("is_on", "1"), ("is_on", "TRUE"), ("is_on", "yes"), ("ratio", "x"),
        ("ratio", "1e400"), ("ratio", "1,5"), ("share", "1e39"), ("data", "%26"), ("colour", "GREEN"), ("colour", "red"),
        ("colour", "2147483648"),
    ],
)  # fmt: skip
def test_a_text_of_the_wrong_type(refusal: Refusal, name: str, text: str) -> None:
    """It is refused in a path as in a query, by the field's name, and not repeated."""
    for url in (f"/{name}/{text}", f"/get/a?{name}={text}"):
        reason, faults = refusal("GET", url)
        assert (reason, list(faults)) == (Reason.INVALID_FIELD, [name])


def test_every_fault_of_path_and_query_is_told(refusal: Refusal) -> None:
    """Whoever makes two mistakes learns of both at once."""
    reason, faults = refusal("GET", "/number/x?small=y&is_on=z&name=n")
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["number", "small", "is_on"])


# --- queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {}),
        ("&", {}),
        ("number=1&&small=2&", {"number": 1, "small": 2}),
        ("part.name=a&part.size=2", {"part": {"name": "a", "size": 2}}),
        ("part.part.part.name=a", {"part": {"part": {"part": {"name": "a"}}}}),
        ("part.made_time=2026-01-31T12:00:00Z", {"part": {"made_time": "2026-01-31T12:00:00Z"}}),
        ("part.madeTime=2026-01-31T12:00:00Z", {"part": {"made_time": "2026-01-31T12:00:00Z"}}),
        ("isOn=true", {"is_on": True}),
        ("is_on=false", {}),
        ("somethingElse=a", {"other": "a"}),
        ("other=a", {"other": "a"}),
        ("tags=a&tags=b&tags=", {"tags": ["a", "b", ""]}),
        ("tags=a%26b&number=1&tags=c=d", {"tags": ["a&b", "c=d"], "number": 1}),
        ("counts=1&counts=-2", {"counts": [1, -2]}),
        ("colours=RED&colours=2", {"colours": ["RED", "BLUE"]}),
        ("part.tags=a&part.tags=b", {"part": {"tags": ["a", "b"]}}),
        ("note", {"note": ""}),
        ("note=", {"note": ""}),
        ("other=a+b%20c%2B", {"other": "a b c+"}),
        ("oth%65r=%C3%A9", {"other": "é"}),
        ("other=\xc3\xa9", {"other": "é"}),
        ("other=a?b/c:d@e", {"other": "a?b/c:d@e"}),
        ("span=1.5s", {"span": "1.5s"}),
        ("mask=name,isOn", {"mask": "name,isOn"}),
        ("perhaps=0", {"perhaps": 0}),
        ("left=", {"left": ""}),
        ("part.circle=x&right=1", {"part": {"circle": "x"}, "right": 1}),
        ("middle.name=x", {"middle": {"name": "x"}}),
        ("lang=pt", {"lang": "pt"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_sets_what_the_path_does_not(trial: Trial, method: str, query: str, fields: dict[str, object]) -> None:
    """Dotted names in either spelling, lists of single values, and messages that are one text; beside a body too."""
    path = "/get/n" if method == "GET" else "/whole/n"
    _, message, named = trial.read(method, f"{path}?{query}")
    expected = {"name": "n"} | fields
    assert message == thing(trial, **expected)
    tops = {part.partition("=")[0].partition(".")[0] for part in query.split("&")} - {""}
    spellings = {"isOn": "is_on", "somethingElse": "other", "oth%65r": "other"}
    assert named == {"name", *(spellings.get(top, top) for top in tops)}


@pytest.mark.parametrize(
    ("query", "reason", "fields"),
    [
        # What no field has, with its whole path, with and without a value.
        ("bogus", Reason.UNKNOWN_FIELD, ["bogus"]),
        ("bogus=", Reason.UNKNOWN_FIELD, ["bogus"]),
        ("bogus=1", Reason.UNKNOWN_FIELD, ["bogus"]),
        ("part.bogus=1", Reason.UNKNOWN_FIELD, ["part.bogus"]),
        ("part.part.bogus", Reason.UNKNOWN_FIELD, ["part.part.bogus"]),
        ("number.bogus=1", Reason.UNKNOWN_FIELD, ["number.bogus"]),
        ("Number=1", Reason.UNKNOWN_FIELD, ["Number"]),
        ("is_On=true", Reason.UNKNOWN_FIELD, ["is_On"]),
        ("something_else=1", Reason.UNKNOWN_FIELD, ["something_else"]),
        ("part.=1", Reason.UNKNOWN_FIELD, ["part."]),
        (".part=1", Reason.UNKNOWN_FIELD, [".part"]),
        ("part..name=1", Reason.UNKNOWN_FIELD, ["part..name"]),
        (" number=1", Reason.UNKNOWN_FIELD, [" number"]),
        ("tags[]=1", Reason.UNKNOWN_FIELD, ["tags[]"]),
        ("tags[0]=1", Reason.UNKNOWN_FIELD, ["tags[0]"]),
        ("numero=1", Reason.UNKNOWN_FIELD, ["numero"]),
        ("choice=1", Reason.UNKNOWN_FIELD, ["choice"]),
        ("bogus=1&number=x&small=1&small=2", Reason.UNKNOWN_FIELD, ["bogus", "small"]),
        # A single value twice, in one spelling or in two.
        ("number=1&number=2", Reason.INVALID_FIELD, ["number"]),
        ("number=1&number=1", Reason.INVALID_FIELD, ["number"]),
        ("note&note", Reason.INVALID_FIELD, ["note"]),
        ("is_on=true&isOn=true", Reason.INVALID_FIELD, ["is_on"]),
        ("other=a&somethingElse=b", Reason.INVALID_FIELD, ["other"]),
        ("part.name=a&part.name=b", Reason.INVALID_FIELD, ["part.name"]),
        ("part.made_time=2026-01-31T12:00:00Z&part.madeTime=2026-01-31T12:00:00Z", Reason.INVALID_FIELD, ["part.made_time"]),
        ("made_time=2026-01-31T12:00:00Z&made_time=2026-01-31T12:00:00Z", Reason.INVALID_FIELD, ["made_time"]),
        ("perhaps=1&perhaps=2", Reason.INVALID_FIELD, ["perhaps"]),
        # An empty value is one.
        ("number", Reason.INVALID_FIELD, ["number"]),
        ("number=", Reason.INVALID_FIELD, ["number"]),
        ("is_on", Reason.INVALID_FIELD, ["is_on"]),
        ("colour=", Reason.INVALID_FIELD, ["colour"]),
        ("ratio=", Reason.INVALID_FIELD, ["ratio"]),
        ("made_time=", Reason.INVALID_FIELD, ["made_time"]),
        ("span", Reason.INVALID_FIELD, ["span"]),
        ("perhaps=", Reason.INVALID_FIELD, ["perhaps"]),
        ("counts=1&counts=", Reason.INVALID_FIELD, ["counts[1]"]),
        # What a query cannot hold.
        ("part=1", Reason.INVALID_FIELD, ["part"]),
        ("part={}", Reason.INVALID_FIELD, ["part"]),
        ("parts=1", Reason.INVALID_FIELD, ["parts"]),
        ("parts.name=1", Reason.INVALID_FIELD, ["parts"]),
        ("labels=1", Reason.INVALID_FIELD, ["labels"]),
        ("labels.a=1", Reason.INVALID_FIELD, ["labels"]),
        ("labels.key=1", Reason.INVALID_FIELD, ["labels"]),
        ("times=2026-01-31T12:00:00Z", Reason.INVALID_FIELD, ["times"]),
        ("free=1", Reason.INVALID_FIELD, ["free"]),
        ("free.fields=1", Reason.INVALID_FIELD, ["free"]),
        ("empty=1", Reason.INVALID_FIELD, ["empty"]),
        # Messages that are one text, in a query as in JSON.
        ("made_time.seconds=5", Reason.INVALID_FIELD, ["made_time"]),
        ("made_time.nix=5", Reason.INVALID_FIELD, ["made_time"]),
        ("span.seconds=5", Reason.INVALID_FIELD, ["span"]),
        ("mask.paths=name", Reason.INVALID_FIELD, ["mask"]),
        ("perhaps.value=5", Reason.INVALID_FIELD, ["perhaps"]),
        ("part.made_time.seconds=5", Reason.INVALID_FIELD, ["part.made_time"]),
        ("made_time=5", Reason.INVALID_FIELD, ["made_time"]),
        ("made_time=2026-01-31", Reason.INVALID_FIELD, ["made_time"]),
        ("made_time=2026-13-31T12:00:00Z", Reason.INVALID_FIELD, ["made_time"]),
        ("span=5", Reason.INVALID_FIELD, ["span"]),
        # A oneof twice.
        ("left=a&right=1", Reason.INVALID_FIELD, ["right"]),
        ("left=&right=0", Reason.INVALID_FIELD, ["right"]),
        ("middle.name=a&left=b", Reason.INVALID_FIELD, ["left"]),
        ("right=1&middle.part.name=a", Reason.INVALID_FIELD, ["middle.part.name"]),
        ("part.circle=a&part.corners=3", Reason.INVALID_FIELD, ["part.corners"]),
        # What cannot be decoded, and what has no name.
        ("other=%zz", Reason.INVALID_FIELD, ["other"]),
        ("other=%e9", Reason.INVALID_FIELD, ["other"]),
        ("other=\xe9", Reason.INVALID_FIELD, ["other"]),
        ("%zz=1", Reason.MALFORMED_REQUEST, []),
        ("%e9", Reason.MALFORMED_REQUEST, []),
        ("=1", Reason.MALFORMED_REQUEST, []),
        ("number=1&=", Reason.MALFORMED_REQUEST, []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_that_is_refused(refusal: Refusal, method: str, query: str, reason: Reason, fields: list[str]) -> None:
    """Nothing that a query says is dropped or guessed, with a body or without."""
    path = "/get/n" if method == "GET" else "/whole/n"
    found, faults = refusal(method, f"{path}?{query}")
    assert (found, list(faults)) == (reason, fields)


def test_a_list_in_two_spellings_is_refused(refusal: Refusal) -> None:
    """As JSON refuses a field in two spellings; which of them came first would be anybody's guess."""
    aliased = "/alt?parte.name=a&part.name=b"
    assert refusal("POST", aliased) == (
        Reason.UNKNOWN_FIELD,
        {"parte.name": "there is no such field; check its name"},
    )
    assert list(refusal("POST", "/alt?numero=1&number=2")[1]) == ["number"]


def test_an_alias_is_taken_on_its_path_alone(trial: Trial, refusal: Refusal) -> None:
    """And in no body."""
    assert trial.read("POST", "/alt?numero=5")[1:] == (thing(trial, number=5), {"number"})
    assert list(refusal("POST", "/alt?numero=x")[1]) == ["number"]
    assert list(refusal("POST", "/alt?parte=1")[1]) == ["part"]
    assert refusal("POST", "/new/a?numero=5")[0] is Reason.UNKNOWN_FIELD
    assert refusal("POST", "/alt", b'{"numero":5}')[0] is Reason.UNKNOWN_FIELD
    assert list(refusal("POST", "/alt?numero=5", b'{"number":5}')[1]) == ["number"]
    match = trial.routes.find("POST", "/alt")
    assert (match.binding.is_inherited, trial.routes.find("POST", "/new/a").binding.is_inherited) == (True, False)


def test_how_many_parameters_and_steps_a_query_may_have(trial: Trial, refusal: Refusal) -> None:
    """Both are bounded."""
    query = "&".join(["tags=a"] * MAX_QUERY_PARAMETERS)
    assert len(trial.read("GET", f"/get/n?{query}")[1].tags) == MAX_QUERY_PARAMETERS  # type: ignore[attr-defined]
    assert refusal("GET", f"/get/n?{query}&tags=a")[0] is Reason.REQUEST_TOO_LARGE
    deep = ".".join(["part"] * (MAX_FIELD_DEPTH - 1))
    assert trial.read("GET", f"/get/n?{deep}.name=a")[2] == {"name", "part"}
    assert refusal("GET", f"/get/n?{deep}.part.name=a")[0] is Reason.INVALID_FIELD


def test_a_long_or_odd_name_is_shown_in_part(refusal: Refusal) -> None:
    """Names of the caller's making are bounded in the error, and what does not print is escaped."""
    _, faults = refusal("GET", f"/get/n?{'x' * 5000}=1")
    assert len(next(iter(faults))) < 200
    _, faults = refusal("GET", "/get/n?a%0Ab=1")
    assert "\n" not in next(iter(faults))


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "url", "body", "fields", "named"),
    [
        ("POST", "/whole/n", b"", {"name": "n"}, {"name"}),
        ("POST", "/whole/n", b"{}", {"name": "n"}, {"name"}),
        ("POST", "/whole/n", b'{"number":1,"isOn":false}', {"name": "n", "number": 1}, {"name", "number", "is_on"}),
        ("POST", "/whole/n", b'{"name":null,"number":null}', {"name": "n"}, {"name"}),
        ("POST", "/whole/n?small=2", b'{"number":1}', {"name": "n", "number": 1, "small": 2}, {"name", "number", "small"}),
        ("POST", "/whole/n?note", b'{"note":null}', {"name": "n", "note": ""}, {"name", "note"}),
        ("POST", "/deep/n", b'{"part":{"size":2}}', {"part": {"name": "n", "size": 2}}, {"part"}),
        ("POST", "/deep/n", b'{"part":{"name":null,"part":{"name":"m"}}}', {"part": {"name": "n", "part": {"name": "m"}}}, {"part"}),
        ("POST", "/deep/n", b'{"name":"m"}', {"part": {"name": "n"}, "name": "m"}, {"part", "name"}),
        ("POST", "/choice/n", b'{"right":null}', {"left": "n"}, {"left"}),
        ("POST", "/shape/n", b'{"part":{"name":"m"}}', {"part": {"name": "m", "circle": "n"}}, {"part"}),
        ("PATCH", "/field/n", b"", {"part": {"name": "n"}}, {"part"}),
        ("PATCH", "/field/n", b"{}", {"part": {"name": "n"}}, {"part"}),
        ("PATCH", "/field/n?number=1", b'{"size":2}', {"part": {"name": "n", "size": 2}, "number": 1}, {"part", "number"}),
        ("PATCH", "/field/n?name=m", b'{"size":"2"}', {"part": {"name": "n", "size": 2}, "name": "m"}, {"part", "name"}),
        ("PUT", "/text/n", b'"a"', {"name": "n", "note": "a"}, {"name", "note"}),
        ("PUT", "/text/n", b'""', {"name": "n", "note": ""}, {"name", "note"}),
        ("PUT", "/text/n", b"", {"name": "n"}, {"name"}),
        ("PUT", "/list/n", b'["a","b"]', {"name": "n", "tags": ["a", "b"]}, {"name", "tags"}),
        ("PUT", "/list/n", b"[]", {"name": "n"}, {"name", "tags"}),
        ("PUT", "/parts/n", b'[{"name":"a"},{}]', {"name": "n", "parts": [{"name": "a"}, {}]}, {"name", "parts"}),
        ("PUT", "/map/n", b'{"a":"b"}', {"name": "n", "labels": {"a": "b"}}, {"name", "labels"}),
        ("PUT", "/time/n", b'"2026-01-31T12:00:00Z"', {"name": "n", "made_time": "2026-01-31T12:00:00Z"}, {"name", "made_time"}),
        ("PUT", "/middle/n", b'{"name":"a"}', {"name": "n", "middle": {"name": "a"}}, {"name", "middle"}),
        ("PUT", "/middle/n", b"{}", {"name": "n", "middle": {}}, {"name", "middle"}),
        ("PUT", "/free/n", b'{"a":[1]}', {"name": "n", "free": {"a": [1]}}, {"name", "free"}),
    ],
)  # fmt: skip
def test_what_a_body_sets(
    trial: Trial, method: str, url: str, body: bytes, fields: dict[str, object], named: set[str]
) -> None:
    """The whole request, or one field of any kind; an empty body and a null say nothing."""
    assert trial.read(method, url, body)[1:] == (thing(trial, **fields), named)


@pytest.mark.parametrize(
    ("method", "url", "body", "field"),
    [
        # Path and body.
        ("POST", "/whole/n", b'{"name":"m"}', "name"),
        ("POST", "/whole/n", b'{"name":"n"}', "name"),
        ("POST", "/whole/n", b'{"name":""}', "name"),
        ("POST", "/deep/n", b'{"part":{"name":"m"}}', "part.name"),
        ("POST", "/deep/n", b'{"part":{"size":1,"name":""}}', "part.name"),
        ("PATCH", "/field/n", b'{"name":"m"}', "part.name"),
        ("POST", "/choice/n", b'{"right":1}', "left"),
        ("POST", "/choice/n", b'{"right":0}', "left"),
        ("POST", "/choice/n", b'{"middle":{}}', "left"),
        ("POST", "/shape/n", b'{"part":{"corners":3}}', "part.circle"),
        # Path and query.
        ("GET", "/get/n?name=m", b"", "name"),
        ("GET", "/get/n?name=n", b"", "name"),
        ("GET", "/get/n?name", b"", "name"),
        ("GET", "/nested/n?part.part.name=m", b"", "part.part.name"),
        ("POST", "/whole/n?name=m", b"", "name"),
        ("PATCH", "/field/n?part.name=m", b"", "part.name"),
        ("GET", "/left/n?right=1", b"", "right"),
        # Query and body.
        ("POST", "/whole/n?number=1", b'{"number":2}', "number"),
        ("POST", "/whole/n?number=1", b'{"number":0}', "number"),
        ("POST", "/whole/n?isOn=true", b'{"is_on":true}', "is_on"),
        ("POST", "/whole/n?somethingElse=a", b'{"other":"a"}', "other"),
        ("POST", "/whole/n?tags=a", b'{"tags":["b"]}', "tags"),
        ("POST", "/whole/n?tags=a", b'{"tags":[]}', "tags"),
        ("POST", "/whole/n?part.name=a", b'{"part":{"name":"a"}}', "part"),
        ("POST", "/whole/n?part.name=a", b'{"part":{"size":1}}', "part"),
        ("POST", "/whole/n?right=1", b'{"left":"a"}', "right"),
        ("POST", "/whole/n?middle.name=a", b'{"left":"a"}', "middle.name"),
        ("PUT", "/list/n?tags=a", b'["b"]', "tags"),
        ("PUT", "/list/n?tags=a", b"", "tags"),
        ("PATCH", "/field/n?part.size=1", b"", "part.size"),
        ("PUT", "/middle/n?left=a", b'{"name":"a"}', "left"),
        # In the body twice.
        ("POST", "/whole/n", b'{"isOn":true,"is_on":true}', "is_on"),
        ("POST", "/whole/n", b'{"number":1,"number":1}', "number"),
        ("POST", "/whole/n", b'{"left":"a","right":1}', "right"),
        ("PATCH", "/field/n", b'{"size":1,"size":1}', "part.size"),
    ],
)
def test_a_field_has_one_source(refusal: Refusal, method: str, url: str, body: bytes, field: str) -> None:
    """Two are refused by the field's name, whatever they say: also where they agree, and where one is empty."""
    reason, faults = refusal(method, url, body)
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, [field])


@pytest.mark.parametrize(
    ("method", "url", "body", "reason", "fields"),
    [
        ("GET", "/get/n", b"{}", Reason.MALFORMED_REQUEST, []),
        ("GET", "/get/n", b" ", Reason.MALFORMED_REQUEST, []),
        ("POST", "/whole/n", b"null", Reason.MALFORMED_REQUEST, []),
        ("POST", "/whole/n", b"[]", Reason.MALFORMED_REQUEST, []),
        ("POST", "/whole/n", b"{", Reason.MALFORMED_REQUEST, []),
        ("POST", "/whole/n", b'{"bogus":1}', Reason.UNKNOWN_FIELD, ["bogus"]),
        ("POST", "/whole/n", b'{"part":{"bogus":1}}', Reason.UNKNOWN_FIELD, ["part.bogus"]),
        ("POST", "/whole/n", b'{"number":"x"}', Reason.INVALID_FIELD, ["number"]),
        ("POST", "/whole/n", b'{"made_time":{"seconds":5}}', Reason.INVALID_FIELD, ["made_time"]),
        ("POST", "/whole/n", b'{"tags":[["a"]]}', Reason.INVALID_FIELD, ["tags[0]"]),
        ("POST", "/whole/n", b'{"labels":{"a":{}}}', Reason.INVALID_FIELD, ["labels"]),
        ("PATCH", "/field/n", b'{"bogus":1}', Reason.UNKNOWN_FIELD, ["part.bogus"]),
        ("PATCH", "/field/n", b'{"size":"x"}', Reason.INVALID_FIELD, ["part.size"]),
        ("PATCH", "/field/n", b"[]", Reason.INVALID_FIELD, ["part"]),
        ("PATCH", "/field/n", b"{", Reason.MALFORMED_REQUEST, []),
        ("PUT", "/list/n", b'"a"', Reason.INVALID_FIELD, ["tags"]),
        ("PUT", "/list/n", b'["a",1]', Reason.INVALID_FIELD, ["tags[1]"]),
        ("PUT", "/list/n", b'["a"],"number":1', Reason.MALFORMED_REQUEST, []),
        ("PUT", "/list/n", b'["a"]}', Reason.MALFORMED_REQUEST, []),
        ("PUT", "/text/n", b'"a","number":1', Reason.MALFORMED_REQUEST, []),
        ("PUT", "/text/n", b"1", Reason.INVALID_FIELD, ["note"]),
        ("PUT", "/parts/n", b'[{"bogus":1}]', Reason.UNKNOWN_FIELD, ["parts[0].bogus"]),
        ("PUT", "/time/n", b'{"seconds":5}', Reason.INVALID_FIELD, ["made_time"]),
        ("PUT", "/map/n", b'{"a":1}', Reason.INVALID_FIELD, ["labels"]),
        ("PUT", "/map/n", b'{"a":"b","a":"c"}', Reason.INVALID_FIELD, ["labels"]),
    ],
)
def test_a_body_that_is_refused(
    refusal: Refusal, method: str, url: str, body: bytes, reason: Reason, fields: list[str]
) -> None:
    """By the whole path of each field at fault; what is no body of the request adds nothing to it."""
    found, faults = refusal(method, url, body)
    assert (found, list(faults)) == (reason, fields)


# --- the header Idempotency-Key --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("abc", "abc"), ('"abc"', "abc"), (' "abc" ', "abc"), ('"a\\"b\\\\c"', 'a"b\\c'), ("a b", "a b"), ('a"b', 'a"b'),
        ("7f9c24e8-3b12-4fef-91e0-5c5e2a1b3c4d", "7f9c24e8-3b12-4fef-91e0-5c5e2a1b3c4d"), ('" "', " "),
    ],
)  # fmt: skip
def test_the_header_is_the_request_id(trial: Trial, header: str, key: str) -> None:
    """Quoted, as the draft has it, or not; beside a null in the body too."""
    for body in (b"", b"{}", b'{"request_id":null}'):
        _, message, named = trial.read("POST", "/order/n", body, header)
        assert message == thing(trial, name="n", request_id=key)
        assert named == {"name", "request_id"}


@pytest.mark.parametrize(
    "header", ["", " ", '""', '"', '"a', '"a"b', '"a"; b=1', '"\\a"', "\xe9", '"\xe9"', "a\x00", "a\tb"]
)
def test_a_header_that_is_no_key(refusal: Refusal, header: str) -> None:
    """What would promise that a command is applied once, and could not keep it, is refused."""
    reason, faults = refusal("POST", "/order/n", b"", header)
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["request_id"])
    assert "Idempotency-Key" in faults["request_id"]


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/order/n?request_id=a", b""),
        ("/order/n?requestId=a", b""),
        ("/order/n?request_id", b""),
        ("/order/n", b'{"request_id":"a"}'),
        ("/order/n", b'{"requestId":""}'),
    ],
)
def test_the_header_beside_the_field(refusal: Refusal, url: str, body: bytes) -> None:
    """Two sources are refused, also where they agree."""
    reason, faults = refusal("POST", url, body, "a")
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["request_id"])


def test_the_header_where_no_command_takes_it(trial: Trial, refusal: Refusal) -> None:
    """A query may be repeated anyway; a command without a request ID may not."""
    assert trial.read("GET", "/get/n", b"", "a")[1] == thing(trial, name="n")
    reason, faults = refusal("POST", "/keyless", b"", "a")
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["request_id"])


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fields", "answer"),
    [
        ("part", {"part": {"name": "a", "size": 2}}, {"name": "a", "size": "2", "tags": []}),
        ("tags", {"tags": ["a", "é"]}, ["a", "é"]),
        ("tags", {}, []),
        ("number", {"number": 2**53 + 1}, str(2**53 + 1)),
        ("number", {}, "0"),
        ("parts", {"parts": [{"name": "a"}]}, [{"name": "a", "size": "0", "tags": []}]),
        ("labels", {"labels": {"a": "b"}}, {"a": "b"}),
        ("made_time", {"made_time": "2026-01-31T12:00:00Z"}, "2026-01-31T12:00:00Z"),
    ],
)
def test_a_response_body_is_a_field(trial: Trial, path: str, fields: dict[str, object], answer: object) -> None:
    """A message, a list, a map or a single value is the whole JSON."""
    binding = trial.routes.find("GET", f"/answer/{path}").binding
    assert json.loads(binding.write(thing(trial, **fields))) == answer


def test_a_response_without_a_response_body(trial: Trial) -> None:
    """All of the message is the JSON, in the proto's names."""
    binding = trial.routes.find("GET", "/answer/all").binding
    written = json.loads(binding.write(thing(trial, is_on=True, other="a")))
    assert (written["is_on"], written["other"], written["number"]) == (True, "a", "0")
    assert "part" not in written


def test_what_a_binding_says_of_itself(trial: Trial) -> None:
    """Doors ask for these."""
    binding = trial.routes.find("POST", "/whole/n").binding
    said = (binding.rpc, binding.method, binding.template, binding.streams, binding.takes_body, binding.is_inherited)
    assert said == (f"{trial.package}.Trials/Whole", "POST", "/whole/{name}", False, True, False)
    assert not trial.routes.find("GET", "/get/n").binding.takes_body


def test_a_stream_of_answers_says_so() -> None:
    """Each message of it is written by itself."""
    rpc = 'rpc Watch(Thing) returns (stream Thing) { option (google.api.http) = { get: "/watch" response_body: "name" }; }'
    trial = Trial(rpc)
    binding = trial.routes.find("GET", "/watch").binding
    assert binding.streams
    assert binding.write(thing(trial, name="a")) == b'"a"'


def test_faults_are_bounded(trial: Trial) -> None:
    """An answer names fifty at most."""
    query = "&".join(f"bogus{number}=1" for number in range(80))
    with pytest.raises(PolystreamError) as refused:
        trial.read("GET", f"/get/n?{query}")
    assert len(refused.value.faults) == 50
    assert refused.value.faults[0] == FieldFault("bogus0", "there is no such field; check its name")


def test_trials_have_one_binding(trial: Trial) -> None:
    """The helper that other tests make single rules by makes just one."""
    assert len(Trial(one('get: "/only"')).routes.bindings) == 1
    assert len(trial.routes.bindings) > 30
