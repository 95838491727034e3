"""What is wrong with a filter is said with the field, the character, and what would be right there."""

import pytest

from mesh.errors import PolystreamError, Reason
from monitor.listing.checking import conditions_of
from monitor.listing.conditions import All, Either, Equals, Matches, Not
from monitor.listing.fields import EVENTS, OPERATIONS, SPANS
from monitor.listing.listing import order_of

BAD = {
    "unknown field": ("state = FAILED comand = a", 16, "unknown_field", "the fields are correlation_id, command"),
    "unknown store": ("store_states.mysql = FAILED", 1, "unknown_field", "store_states.postgresql"),
    "no name of a store": ("store_states = FAILED", 1, "unknown_field", "store_states.postgresql"),
    "choice": ("state = DONE", 9, "wrong_type", "ACCEPTED, SUCCEEDED, FAILED"),
    "number": ("duration_ms > soon", 15, "wrong_type", "1.5s"),
    "not finite": ("duration_ms > inf", 15, "wrong_type", "milliseconds"),
    "user": ("user_id = x", 11, "wrong_type", "a whole number"),
    "huge user": ("user_id = 9999999999999999999", 11, "wrong_type", "a whole number"),
    "time without a zone": ("accept_time > 2026-01-01T00:00:00", 15, "wrong_type", "RFC 3339"),
    "year": ("accept_time > 1066-10-14T00:00:00Z", 15, "wrong_type", "1970 to 2261"),
    "operator": ("command > a", 1, "unknown_operator", "takes = != and :"),
    "equal words": ("error = a", 1, "unknown_operator", "`:`"),
    "function": ("regex(command, a)", 6, "syntax", "no functions"),
    "open parenthesis": ("(state = FAILED", 16, "syntax", "not closed"),
    "closed parenthesis": ("state = FAILED)", 15, "syntax", "not opened"),
    "open quote": ('command = "a', 11, "syntax", "quote"),
    "no value": ("command =", 10, "syntax", "a value is missing"),
    "no term": ("a AND", 6, "syntax", "a term is missing"),
    "word in its place": ("a AND OR b", 7, "syntax", "in quotes"),
    "comparator alone": ("= a", 1, "syntax", "begins with a field"),
    "too long": ("a" * 2001, 2001, "too_long", "2000"),
    "long value": (f'command = "{"a" * 600}"', 11, "value_too_long", "512"),
    "too deep": ("(" * 11 + "a" + ")" * 11, 11, "too_deep", "10"),
    "too many terms": ("a " * 51, 101, "too_many_terms", "50"),
    "too many stars": ('"' + "*a" * 9 + '"', 1, "too_many_stars", "8"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_filter_is_refused(name: str) -> None:
    """Nothing of the filter itself is in the error, since anybody may write anything into one."""
    text, at, rule, says = BAD[name]
    with pytest.raises(PolystreamError) as raised:
        conditions_of(text, OPERATIONS)
    assert raised.value.reason is Reason.INVALID_FIELD
    (fault,) = raised.value.faults
    assert fault.field == "filter"
    assert fault.rule == f"filter.{rule}"
    assert fault.description.startswith(f"at character {at}: ")
    assert says in fault.description


def test_or_binds_closer_than_and() -> None:
    """As AIP-160 has it; two terms without a word between them are joined as by AND."""
    a, b, c = (Equals("command", name) for name in "abc")
    for text in ("command=a AND command=b OR command=c", "command = a command = b OR command : c"):
        assert conditions_of(text, EVENTS) == All((a, Either((b, c))))
    assert conditions_of("(command=a AND command=b) OR command=c", EVENTS) == Either((All((a, b)), c))
    assert conditions_of("-command=a NOT command=b", EVENTS) == All((Not(a), Not(b)))
    assert conditions_of("command != a", EVENTS) == Not(a)


def test_stars_quotes_and_words() -> None:
    """A star stands for anything, but behind a backslash; what is in quotes is a text, whatever it is like."""
    assert conditions_of("command = Create*", EVENTS) == Matches("command", ("Create", ""))
    assert conditions_of(r'command = "a\*\"b"', EVENTS) == Equals("command", 'a*"b')
    assert conditions_of("'AND'", EVENTS) == Matches("error", ("", "AND", ""), ignores_case=True)
    assert conditions_of("api.example-1", SPANS) == Matches("name", ("", "api.example-1", ""), ignores_case=True)
    assert conditions_of("  ", EVENTS) == All(())


@pytest.mark.parametrize("order", ["state", "duration_ms down", "duration_ms, duration_ms desc", ",", "a b c d"])
def test_a_bad_order_is_refused(order: str) -> None:
    """It names the fields that there are to order by, or the form."""
    with pytest.raises(PolystreamError) as raised:
        order_of(order, OPERATIONS)
    assert raised.value.faults[0].field == "order_by"
