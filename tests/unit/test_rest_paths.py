"""What the variables of a path set, and how they are decoded."""

import pytest

from mesh.errors import PolystreamError, Reason
from tests.support.rest_shapes import shapes
from tests.support.rest_trial import Trial


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Return a service with bindings of every shape."""
    return shapes()


@pytest.mark.parametrize(
    ("segment", "value"),
    [
        ("a", "a"),
        ("a%20b", "a b"),
        ("a+b", "a+b"),
        ("a%2Fb", "a/b"),
        ("a%2fb", "a/b"),
        ("%C3%A9", "é"),
        ("\xc3\xa9", "é"),
        ("%25", "%"),
        ("%2525", "%25"),
        ("a%3Ab", "a:b"),
        ("a:b", "a:b"),
        ("..", ".."),
        ("%00", "\0"),
        ("a;b=c", "a;b=c"),
        ("%F0%9F%8E%AC", "🎬"),
    ],
)
def test_one_segment_is_decoded_wholly(trial: Trial, segment: str, value: str) -> None:
    """An encoded slash too; a plus is a plus."""
    assert trial.read("GET", f"/get/{segment}")[1] == trial.thing(name=value)


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
def test_several_segments_keep_an_encoded_slash(trial: Trial, path: str, value: str) -> None:
    """`**` is of several segments however many it takes; all else is decoded."""
    assert trial.read("GET", path)[1] == trial.thing(**({"name": value} if value else {}))


@pytest.mark.parametrize("segment", ["%", "a%", "%2", "%zz", "%e9", "%ff%fe", "\xe9", "%C3", "%ED%A0%80"])
def test_a_segment_that_cannot_be_decoded(trial: Trial, segment: str) -> None:
    """It is refused by the field's name, in one segment and in several."""
    assert trial.refusal("GET", f"/get/{segment}")[0] is Reason.INVALID_FIELD
    for path in (f"/get/{segment}", f"/rest/a/{segment}/b"):
        reason, faults = trial.refusal("GET", path)
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
    assert repr(message) == repr(trial.thing(**fields))
    assert named == set(fields)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("number", "x"),
        ("number", "9223372036854775808"),
        ("number", "1.5"),
        ("number", "%201"),
        ("number", "1_0"),
        ("number", "+1"),
        ("number", "0x1"),
        ("number", "%D9%A1"),
        ("small", "2147483648"),
        ("natural", "-1"),
        ("large", "18446744073709551616"),
        ("is_on", "1"),
        ("is_on", "TRUE"),
        ("is_on", "yes"),
        ("ratio", "x"),
        ("ratio", "1e400"),
        ("ratio", "1,5"),
        ("share", "1e39"),
        ("data", "%26"),
        ("colour", "GREEN"),
        ("colour", "red"),
        ("colour", "2147483648"),
    ],
)
def test_a_text_of_the_wrong_type(trial: Trial, name: str, text: str) -> None:
    """It is refused in a path as in a query, by the field's name, and not repeated."""
    for url in (f"/{name}/{text}", f"/get/a?{name}={text}"):
        reason, faults = trial.refusal("GET", url)
        assert (reason, list(faults)) == (Reason.INVALID_FIELD, [name])


def test_every_fault_of_path_and_query_is_told(trial: Trial) -> None:
    """Whoever makes two mistakes learns of both at once."""
    reason, faults = trial.refusal("GET", "/number/x?small=y&is_on=z&name=n")
    assert (reason, list(faults)) == (Reason.INVALID_FIELD, ["number", "small", "is_on"])
