"""Paths and query parameters into fields, by the rules that JSON's strings have."""

import json
from typing import Any, Final

import pytest
from google.protobuf.descriptor import FieldDescriptor

from gateway.rest.json_reader import JsonReader
from gateway.rest.json_types import message_type
from gateway.rest.text_fields import text_field
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from tests.support.json_trial import PLAIN, SHAPES, trial_message, trial_pool

_TAKEN: Final = (
    *(("an_int32", "5", "an_int32: 5"), ("an_int32", "-2147483648", "an_int32: -2147483648")),
    *(("an_int64", "9223372036854775807", "an_int64: 9223372036854775807"), ("an_int64", "-0", "")),
    *(("an_int64", "-9223372036854775808", "an_int64: -9223372036854775808"), ("an_int64", "0", "")),
    *(("an_uint32", "4294967295", "an_uint32: 4294967295"), ("a_sint64", "-7", "a_sint64: -7")),
    ("an_uint64", "18446744073709551615", "an_uint64: 18446744073709551615"),
    *(("a_fixed32", "1", "a_fixed32: 1"), ("a_sfixed64", "-1", "a_sfixed64: -1")),
    *(("a_double", "1.5", "a_double: 1.5"), ("a_double", "-1e3", "a_double: -1000"), ("a_double", "5", "a_double: 5")),
    *(("a_double", "NaN", "a_double: nan"), ("a_double", "-Infinity", "a_double: -inf")),
    *(("a_float", "0.5", "a_float: 0.5"), ("a_bool", "true", "a_bool: true"), ("a_bool", "false", "")),
    *(("a_string", "", ""), ("a_string", "a b", 'a_string: "a b"'), ("a_string", "é😀", 'a_string: "é😀"')),
    *(("a_string", '"\\\n\x00', r'a_string: "\"\\\n\000"'), ("a_string", "null", 'a_string: "null"')),
    *(("a_string", "5", 'a_string: "5"'), ("some_bytes", "AQI=", r'some_bytes: "\001\002"')),
    *(("some_bytes", "-_8", r'some_bytes: "\373\377"'), ("a_choice", "TWO", "a_choice: TWO")),
    *(("a_choice", "1", "a_choice: ONE"), ("a_choice", "-1", "a_choice: NEGATIVE"), ("a_choice", "99", "a_choice: 99")),
    *(("an_alias", "second_too", "an_alias: SECOND"), ("a_present_int32", "0", "a_present_int32: 0")),
    *(
        ("one_uint32", "0", "one_uint32: 0"),
        ("one_string", "", 'one_string: ""'),
        ("one_bool", "false", "one_bool: false"),
    ),
    *(("int64_wrapper", "5", "int64_wrapper: {value: 5}"), ("bool_wrapper", "false", "bool_wrapper: {}")),
    *(("string_wrapper", "5", 'string_wrapper: {value: "5"}'), ("double_wrapper", "1", "double_wrapper: {value: 1}")),
    *(
        ("bytes_wrapper", "AQ", r'bytes_wrapper: {value: "\001"}'),
        ("a_mask", "foo,barBaz", 'a_mask: {paths: ["foo", "bar_baz"]}'),
    ),
    *(
        ("a_duration", "1.5s", "a_duration: {seconds: 1 nanos: 500000000}"),
        ("a_time", "1970-01-01T00:00:01Z", "a_time: {seconds: 1}"),
    ),
    *(("an_inner.a", "5", "an_inner: {a: 5}"), ("one_inner.a", "5", "one_inner: {a: 5}")),
    ("an_inner.around.an_inner.around.a_string", "x", 'an_inner: {around: {an_inner: {around: {a_string: "x"}}}}'),
)
_REFUSED: Final = (
    *(("an_int32", text) for text in ("2147483648", "-2147483649", "1e3", "1.0", "+1", "007", "-01", "1_0", "x", "")),
    *(("an_int64", text) for text in ("9223372036854775808", " 1", "1 ", "1\n", "\u0661", "0x1", "null", "9" * 5000)),
    *(("an_uint32", text) for text in ("-1", "4294967296")),
    *(("an_uint64", text) for text in ("-1", "18446744073709551616")),
    *(("a_double", text) for text in ("1.", ".5", "nan", "inf", "1e400", "1_0", "", "0x1", "null")),
    *(("a_float", text) for text in ("1e39", "x")),
    *(("a_bool", text) for text in ("True", "TRUE", "1", "0", "yes", "", "null")),
    *(("a_choice", text) for text in ("two", "", "1.0", "2147483648", "-2147483649", "9" * 5000, "null")),
    *(("some_bytes", text) for text in ("!", "A")),
    *(("a_string", text) for text in ("\ud800", "a\udfff")),
    *(("a_time", text) for text in ("", "2026", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "1e3")),
    *(("a_duration", text) for text in ("", "1", "1.0", "s")),
    *(("a_mask", text) for text in ("foo_bar",)),
    *(("int64_wrapper", text) for text in ("", "1.0", "null")),
    *(("an_inner.a", text) for text in ("", "x")),
)


@pytest.fixture(scope="module", autouse=True)
def trial() -> None:
    """Make the messages of every shape known."""
    trial_pool()


def _set(name: str, *values: str, full_name: str = SHAPES) -> Any:
    message = message_type(full_name).type()
    text_field(full_name, tuple(name.split("."))).set(message, values)
    return message


def _refusal(name: str, *values: str) -> PolystreamError:
    with pytest.raises(PolystreamError) as refusal:
        _set(name, *values)
    return refusal.value


@pytest.mark.parametrize(("name", "text", "expected"), _TAKEN)
def test_a_text_sets_the_field_that_it_stands_for(name: str, text: str, expected: str) -> None:
    """What is set is what protobuf's text format says."""
    message = trial_message(SHAPES, "")

    message.ParseFromString(_set(name, text).to_binary())

    assert str(message) == str(trial_message(SHAPES, expected))


@pytest.mark.parametrize(("name", "text"), _REFUSED)
def test_a_text_that_does_not_fit_is_refused_with_the_path(name: str, text: str) -> None:
    """The fault names the field and what it takes, without quotes and without the text."""
    refusal = _refusal(name, text)

    (fault,) = refusal.faults
    assert (refusal.reason, fault.field, fault.description[:8]) == (Reason.INVALID_FIELD, name, "must be ")
    assert '"' not in fault.description


def test_a_list_takes_one_value_or_several_and_names_the_one_at_fault() -> None:
    """Each value is an element, in order, after those that are there."""
    assert _set("strings", "a").strings == ["a"]
    assert _set("int64s", "1", "2", "3").int64s == [1, 2, 3]
    assert [time.seconds for time in _set("times", "1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z").times] == [1, 2]
    assert [fault.field for fault in _refusal("int64s", "1", "x", "3").faults] == ["int64s[1]"]


@pytest.mark.parametrize("name", ["an_int64", "a_string", "a_bool", "an_inner.a", "a_time"])
def test_a_field_that_is_no_list_takes_one_value(name: str) -> None:
    """Of two values neither is taken."""
    assert [(fault.field, fault.description) for fault in _refusal(name, "1", "1").faults] == [
        (name, "is given more than once; give it once")
    ]


def test_a_field_is_set_beside_what_the_message_has() -> None:
    """What a body said stays, at every depth."""
    message = JsonReader(PLAIN).read(b'{"title":"t","part":{"name":"n","leaf":{"depth":1}}}').message

    text_field(PLAIN, ("part", "leaf", "name")).set(message, ["x"])
    text_field(PLAIN, ("id",)).set(message, ["5"])

    expected = trial_message(PLAIN, 'id: 5 title: "t" part: {name: "n" leaf: {depth: 1 name: "x"}}')
    assert message.to_binary() == expected.SerializeToString()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        *(
            ("bogus", LookupError),
            ("an_inner.bogus", LookupError),
            ("a_time.seconds", LookupError),
            ("a_string.bogus", LookupError),
        ),
        *(("inners.a", LookupError), ("inner_by_string.a", LookupError)),
        *(("an_inner", ValueError), ("inners", ValueError), ("by_string", ValueError), ("inner_by_string", ValueError)),
        *(("a_struct", ValueError), ("a_value", ValueError), ("a_list", ValueError), ("an_any", ValueError)),
    ],
)
def test_a_path_that_no_text_can_set_is_an_error_of_the_one_who_compiles_it(name: str, error: type[Exception]) -> None:
    """A route that has it is wrong, not a request."""
    with pytest.raises(error):
        text_field(SHAPES, tuple(name.split(".")))


def _singular_fields() -> list[Any]:
    requests = {method.input_type for service in load_catalog().services for method in service.methods}
    return [
        pytest.param(request.full_name, field, id=f"{request.name}.{field.name}")
        for request in sorted(requests, key=lambda request: request.full_name)
        for field in request.fields
        if field.message_type is None and not field.is_repeated
    ]


@pytest.mark.parametrize(("full_name", "field"), _singular_fields())
@pytest.mark.parametrize("text", ["5", "-5", "x", "true", "1.5", "", "MOVIE", "1e2", "007", "9" * 30])
def test_a_text_means_in_a_path_what_it_means_in_json(full_name: str, field: FieldDescriptor, text: str) -> None:
    """Of every request, each field takes the same texts, but for what JSON has no quotes for, and exponents."""
    bare = field.cpp_type == FieldDescriptor.CPPTYPE_BOOL and text in {"true", "false"}
    bare |= field.enum_type is not None and text in {"5", "-5"}
    body = f'{{"{field.name}":{text if bare else json.dumps(text)}}}'
    whole = field.cpp_type in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64}
    try:
        expected = None if whole and text == "1e2" else JsonReader(full_name).read(body.encode()).message.to_binary()
    except PolystreamError:
        expected = None
    if expected is None:
        with pytest.raises(PolystreamError):
            _set(field.name, text, full_name=full_name)
    else:
        assert _set(field.name, text, full_name=full_name).to_binary() == expected
