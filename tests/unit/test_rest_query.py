"""What a query sets, and what it is refused for."""

import pytest

from gateway.rest.query import MAX_QUERY_PARAMETERS
from gateway.rest.request_fields import MAX_FIELD_DEPTH
from mesh.errors import Reason
from tests.support.rest_shapes import shapes
from tests.support.rest_trial import Trial


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Return a service with bindings of every shape."""
    return shapes()


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
    assert message == trial.thing(**expected)
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
        ("part.made_time=x&part.madeTime=x", Reason.INVALID_FIELD, ["part.made_time"]),
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
        ("tags=a&tags=%e9&tags=b&tags=%", Reason.INVALID_FIELD, ["tags[1]", "tags[3]"]),
        ("part.tags=%zz", Reason.INVALID_FIELD, ["part.tags[0]"]),
        ("%zz=1", Reason.MALFORMED_REQUEST, []),
        ("%e9", Reason.MALFORMED_REQUEST, []),
        ("=1", Reason.MALFORMED_REQUEST, []),
        ("number=1&=", Reason.MALFORMED_REQUEST, []),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_that_is_refused(trial: Trial, method: str, query: str, reason: Reason, fields: list[str]) -> None:
    """Nothing that a query says is dropped or guessed, with a body or without."""
    path = "/get/n" if method == "GET" else "/whole/n"
    found, faults = trial.refusal(method, f"{path}?{query}")
    assert (found, list(faults)) == (reason, fields)


def test_a_list_in_two_spellings_is_refused(trial: Trial) -> None:
    """As JSON refuses a field in two spellings; which of them came first would be anybody's guess."""
    aliased = "/alt?parte.name=a&part.name=b"
    assert trial.refusal("POST", aliased) == (
        Reason.UNKNOWN_FIELD,
        {"parte.name": "there is no such field; check its name"},
    )
    assert list(trial.refusal("POST", "/alt?numero=1&number=2")[1]) == ["number"]


def test_an_alias_is_taken_on_its_path_alone(trial: Trial) -> None:
    """And in no body."""
    assert trial.read("POST", "/alt?numero=5")[1:] == (trial.thing(number=5), frozenset({"number"}))
    assert list(trial.refusal("POST", "/alt?numero=x")[1]) == ["number"]
    assert list(trial.refusal("POST", "/alt?parte=1")[1]) == ["part"]
    assert trial.refusal("POST", "/new/a?numero=5")[0] is Reason.UNKNOWN_FIELD
    assert trial.refusal("POST", "/alt", b'{"numero":5}')[0] is Reason.UNKNOWN_FIELD
    assert list(trial.refusal("POST", "/alt?numero=5", b'{"number":5}')[1]) == ["number"]
    match = trial.routes.find("POST", "/alt")
    assert (match.binding.is_inherited, trial.routes.find("POST", "/new/a").binding.is_inherited) == (True, False)


def test_how_many_parameters_and_steps_a_query_may_have(trial: Trial) -> None:
    """Both are bounded."""
    query = "&".join(["tags=a"] * MAX_QUERY_PARAMETERS)
    assert len(trial.read("GET", f"/get/n?{query}")[1].tags) == MAX_QUERY_PARAMETERS  # type: ignore[attr-defined]
    assert trial.refusal("GET", f"/get/n?{query}&tags=a")[0] is Reason.HEADERS_TOO_LARGE
    deep = ".".join(["part"] * (MAX_FIELD_DEPTH - 1))
    assert trial.read("GET", f"/get/n?{deep}.name=a")[2] == {"name", "part"}
    assert trial.refusal("GET", f"/get/n?{deep}.part.name=a")[0] is Reason.INVALID_FIELD


def test_a_long_or_odd_name_is_shown_in_part(trial: Trial) -> None:
    """Names of the caller's making are bounded in the error, and what does not print is escaped."""
    _, faults = trial.refusal("GET", f"/get/n?{'x' * 5000}=1")
    assert len(next(iter(faults))) < 200
    _, faults = trial.refusal("GET", "/get/n?a%0Ab=1")
    assert "\n" not in next(iter(faults))
