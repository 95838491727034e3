"""The header `Idempotency-Key` is a command's request ID."""

import pytest

from mesh.errors import Reason
from tests.support.rest_shapes import shapes
from tests.support.rest_trial import Trial


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Return a service with bindings of every shape."""
    return shapes()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        (' "abc" ', "abc"),
        ('"a\\"b\\\\c"', 'a"b\\c'),
        ("a b", "a b"),
        ('a"b', 'a"b'),
        ("7f9c24e8-3b12-4fef-91e0-5c5e2a1b3c4d", "7f9c24e8-3b12-4fef-91e0-5c5e2a1b3c4d"),
        ('" "', " "),
    ],
)
def test_the_header_is_the_request_id(trial: Trial, header: str, key: str) -> None:
    """Quoted, as the draft has it, or not; beside a null in the body too."""
    for body in (b"", b"{}", b'{"request_id":null}'):
        _, message, named = trial.read("POST", "/order/n", body, header)
        assert message == trial.thing(name="n", request_id=key)
        assert named == {"name", "request_id"}


@pytest.mark.parametrize(
    "header", ["", " ", '""', '"', '"a', '"a"b', '"a"; b=1', '"\\a"', "\xe9", '"\xe9"', "a\x00", "a\tb"]
)
def test_a_header_that_is_no_key(trial: Trial, header: str) -> None:
    """What would promise that a command is applied once, and could not keep it, is refused."""
    reason, faults = trial.refusal("POST", "/order/n", b"", header)
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
def test_the_header_beside_the_field(trial: Trial, url: str, body: bytes) -> None:
    """Two sources are refused, also where they agree."""
    reason, faults = trial.refusal("POST", url, body, "a")
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["request_id"])


def test_the_header_where_no_command_takes_it(trial: Trial) -> None:
    """A query may be repeated anyway; a command without a request ID may not."""
    assert trial.read("GET", "/get/n", b"", "a")[1] == trial.thing(name="n")
    reason, faults = trial.refusal("POST", "/keyless", b"", "a")
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["request_id"])
