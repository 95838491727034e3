"""What a body sets: the whole request, or one field of it; and a field has one source."""

import pytest

from mesh.errors import Reason
from tests.support.rest_shapes import shapes
from tests.support.rest_trial import Trial


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Return a service with bindings of every shape."""
    return shapes()


@pytest.mark.parametrize(
    ("method", "url", "body", "fields", "named"),
    [
        ("POST", "/whole/n", b"", {"name": "n"}, {"name"}),
        ("POST", "/whole/n", b"{}", {"name": "n"}, {"name"}),
        ("POST", "/whole/n", b'{"number":1,"isOn":false}', {"name": "n", "number": 1}, {"name", "number", "is_on"}),
        ("POST", "/whole/n", b'{"name":null,"number":null}', {"name": "n"}, {"name"}),
        (
            "POST",
            "/whole/n?small=2",
            b'{"number":1}',
            {"name": "n", "number": 1, "small": 2},
            {"name", "number", "small"},
        ),
        ("POST", "/whole/n?note", b'{"note":null}', {"name": "n", "note": ""}, {"name", "note"}),
        ("POST", "/deep/n", b'{"part":{"size":2}}', {"part": {"name": "n", "size": 2}}, {"part"}),
        (
            "POST",
            "/deep/n",
            b'{"part":{"name":null,"part":{"name":"m"}}}',
            {"part": {"name": "n", "part": {"name": "m"}}},
            {"part"},
        ),
        ("POST", "/deep/n", b'{"name":"m"}', {"part": {"name": "n"}, "name": "m"}, {"part", "name"}),
        ("POST", "/choice/n", b'{"right":null}', {"left": "n"}, {"left"}),
        ("POST", "/shape/n", b'{"part":{"name":"m"}}', {"part": {"name": "m", "circle": "n"}}, {"part"}),
        ("PATCH", "/field/n", b"", {"part": {"name": "n"}}, {"part"}),
        ("PATCH", "/field/n", b"{}", {"part": {"name": "n"}}, {"part"}),
        (
            "PATCH",
            "/field/n?number=1",
            b'{"size":2}',
            {"part": {"name": "n", "size": 2}, "number": 1},
            {"part", "number"},
        ),
        (
            "PATCH",
            "/field/n?name=m",
            b'{"size":"2"}',
            {"part": {"name": "n", "size": 2}, "name": "m"},
            {"part", "name"},
        ),
        ("PUT", "/text/n", b'"a"', {"name": "n", "note": "a"}, {"name", "note"}),
        ("PUT", "/text/n", b'""', {"name": "n", "note": ""}, {"name", "note"}),
        ("PUT", "/text/n", b"", {"name": "n"}, {"name"}),
        ("PUT", "/list/n", b'["a","b"]', {"name": "n", "tags": ["a", "b"]}, {"name", "tags"}),
        ("PUT", "/list/n", b"[]", {"name": "n"}, {"name", "tags"}),
        ("PUT", "/parts/n", b'[{"name":"a"},{}]', {"name": "n", "parts": [{"name": "a"}, {}]}, {"name", "parts"}),
        ("PUT", "/map/n", b'{"a":"b"}', {"name": "n", "labels": {"a": "b"}}, {"name", "labels"}),
        (
            "PUT",
            "/time/n",
            b'"2026-01-31T12:00:00Z"',
            {"name": "n", "made_time": "2026-01-31T12:00:00Z"},
            {"name", "made_time"},
        ),
        ("PUT", "/middle/n", b'{"name":"a"}', {"name": "n", "middle": {"name": "a"}}, {"name", "middle"}),
        ("PUT", "/middle/n", b"{}", {"name": "n", "middle": {}}, {"name", "middle"}),
        ("PUT", "/free/n", b'{"a":[1]}', {"name": "n", "free": {"a": [1]}}, {"name", "free"}),
    ],
)
def test_what_a_body_sets(
    trial: Trial, method: str, url: str, body: bytes, fields: dict[str, object], named: set[str]
) -> None:
    """The whole request, or one field of any kind; an empty body and a null say nothing."""
    assert trial.read(method, url, body)[1:] == (trial.thing(**fields), frozenset(named))


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
def test_a_field_has_one_source(trial: Trial, method: str, url: str, body: bytes, field: str) -> None:
    """Two are refused by the field's name, whatever they say: also where they agree, and where one is empty."""
    reason, faults = trial.refusal(method, url, body)
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
    trial: Trial, method: str, url: str, body: bytes, reason: Reason, fields: list[str]
) -> None:
    """By the whole path of each field at fault; what is no body of the request adds nothing to it."""
    found, faults = trial.refusal(method, url, body)
    assert (found, list(faults)) == (reason, fields)
