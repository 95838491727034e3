"""The grammar of path templates: what google/api/http.proto says of it, rule by rule."""

import pytest

from gateway.rest.templates import Segment, TemplateVariable, Wildcard, parse_template

ONE, REST = Wildcard.ONE, Wildcard.REST


@pytest.mark.parametrize(
    ("text", "segments", "verb"),
    [
        ("/v1", ("v1",), ""),
        ("/v1/users/{user_id}", ("v1", "users", ONE), ""),
        ("/v1/users/{user_id=*}", ("v1", "users", ONE), ""),
        ("/v1/{name=shelves/*/books/*}", ("v1", "shelves", ONE, "books", ONE), ""),
        ("/v1/{name=operations}", ("v1", "operations"), ""),
        ("/v1/{name=**}", ("v1", REST), ""),
        ("/v1/{name=files/**}:download", ("v1", "files", REST), "download"),
        ("/v1/*/x", ("v1", ONE, "x"), ""),
        ("/v1/**", ("v1", REST), ""),
        ("/**", (REST,), ""),
        ("/v1/things:run", ("v1", "things"), "run"),
        ("/v1/{a}/{b.c}:run", ("v1", ONE, ONE), "run"),
        ("/v1/a%3Ab", ("v1", "a:b"), ""),
        ("/v1/%2A", ("v1", "*"), ""),
        ("/v1/caf%C3%A9:l%C3%A1", ("v1", "café"), "lá"),
        ("/~a/b_c/d.e-f", ("~a", "b_c", "d.e-f"), ""),
    ],
)
def test_templates(text: str, segments: tuple[Segment, ...], verb: str) -> None:
    """Literals, wildcards, variables and verbs are told apart, and literals are percent-decoded."""
    parsed = parse_template(text)
    assert (parsed.segments, parsed.verb, parsed.text) == (segments, verb, text)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("/v1/*", []),
        ("/v1/{a}", [(("a",), 1, 2, True)]),
        ("/v1/{a=*}", [(("a",), 1, 2, True)]),
        ("/v1/{a=b}", [(("a",), 1, 2, True)]),
        ("/v1/{a=b/*}/c/{d.e.f}", [(("a",), 1, 3, False), (("d", "e", "f"), 4, 5, True)]),
        ("/v1/{a=**}", [(("a",), 1, None, False)]),
        ("/{a=b/**}:c", [(("a",), 0, None, False)]),
    ],
)
def test_variables(text: str, variables: list[tuple[tuple[str, ...], int, int | None, bool]]) -> None:
    """A variable knows its field, its segments, and whether it is of one segment: `**` never is."""
    assert parse_template(text).variables == tuple(
        TemplateVariable(path, start, stop, is_single=is_single) for path, start, stop, is_single in variables
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "slash"),
        ("v1/users", "slash"),
        ("/", "empty segment"),
        ("//v1", "empty segment"),
        ("/v1/", "empty segment"),
        ("/v1//a", "empty segment"),
        ("/v1/**/a", "before its last"),
        ("/v1/{a=**}/b", "before its last"),
        ("/v1/{a=**/b}", "before its last"),
        ("/v1/{a}/**/{b}", "before its last"),
        ("/v1/{a={b}}", "neither"),
        ("/v1/{a=b/{c}}", "neither"),
        ("/v1/x{a}", "neither"),
        ("/v1/{a}x", "neither"),
        ("/v1/{a}{b}", "neither"),
        ("/v1/{a", "neither"),
        ("/v1/a}", "neither"),
        ("/v1/{}", "field's path"),
        ("/v1/{a.}", "field's path"),
        ("/v1/{.a}", "field's path"),
        ("/v1/{1a}", "field's path"),
        ("/v1/{a-b}", "field's path"),
        ("/v1/{a=}", "neither"),
        ("/v1/{a=/b}", "neither"),
        ("/v1/{a=b/}", "neither"),
        ("/v1/{a=b:c}", "neither"),
        ("/v1/***", "neither"),
        ("/v1/a*", "neither"),
        ("/v1/a?b", "neither"),
        ("/v1/a#b", "neither"),
        ("/v1/a b", "neither"),
        ("/v1/a:b/c", "neither"),
        ("/v1/é", "neither"),
        ("/v1/%zz", "neither"),
        ("/v1/%e9", "UTF-8"),
        ("/v1/a:", "verb"),
        ("/v1/a:b:c", "verb"),
        ("/v1/a:*", "verb"),
        ("/v1/a:{b}", "neither"),
        ("/v1/{a}/{a}", "twice"),
        ("/v1/{a.b}/{a.b=x/*}", "twice"),
    ],
)
def test_what_is_no_template(text: str, wrong: str) -> None:
    """What the grammar does not allow is refused at the start, with what is wrong."""
    with pytest.raises(ValueError, match=wrong):
        parse_template(text)
