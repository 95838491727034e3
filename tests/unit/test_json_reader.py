"""JSON bodies: what is at fault has its whole path, nothing is dropped in silence, and nothing of a value is told."""

import json
import random
from collections.abc import Callable
from typing import Any, Final

import pytest

from gateway.rest.json_reader import JsonReader
from gateway.rest.json_text import MAX_DEPTH
from gateway.rest.json_types import message_type
from gateway.rest.text_fields import text_field
from mesh.envelope import MAX_NAME_CHARACTERS
from mesh.errors import PolystreamError, Reason
from tests.support.json_trial import PLAIN, SHAPES, trial_pool

_VIEW: Final = "polystream.v1.RecordViewRequest"
_PAYMENT: Final = "polystream.v1.CreatePaymentRequest"
_CONTENT: Final = "polystream.v1.CacheContentRequest"
_TWICE: Final = "is given twice; give it once"
_WHOLE_32: Final = "must be a whole number from -2147483648 to 2147483647"
_WHOLE_64: Final = "must be a whole number from -9223372036854775808 to 9223372036854775807"
_UNKNOWN: Final = "there is no such field; check its name"


@pytest.fixture(scope="module", autouse=True)
def trial() -> None:
    """Make the messages of every shape known."""
    trial_pool()


def _refusal(full_name: str, body: str | bytes, prefix: str = "") -> PolystreamError:
    with pytest.raises(PolystreamError) as refusal:
        JsonReader(full_name).read(body.encode() if isinstance(body, str) else body, prefix)
    return refusal.value


def _faults(full_name: str, body: str | bytes, prefix: str = "") -> list[tuple[str, str]]:
    return [(fault.field, fault.description) for fault in _refusal(full_name, body, prefix).faults]


@pytest.mark.parametrize(
    ("full_name", "body", "path"),
    [
        (_VIEW, '{"user_id":1234,"user_id":777}', "user_id"),
        (_VIEW, '{"user_id":1234,"userId":777}', "user_id"),
        (_VIEW, '{"requestId":"a","request_id":"a"}', "request_id"),
        (_VIEW, r'{"use\u0072_id":1,"user_id":2}', "user_id"),
        (_VIEW, '{"completed":null,"completed":true}', "completed"),
        (_VIEW, '{"kind":"MOVIE","title":"kind","kind":"MOVIE"}', "kind"),
        (_PAYMENT, '{"amount":{"units":1},"amount":{"units":1}}', "amount"),
        (_PAYMENT, '{"amount":{"units":1,"units":1}}', "amount.units"),
        (_PAYMENT, '{"amount":{"currencyCode":"BRL","currency_code":"BRL"}}', "amount.currency_code"),
        (_CONTENT, '{"genres":["a"],"genres":["b"]}', "genres"),
        (PLAIN, '{"parts":[{"size":1},{"size":1,"leaf":{"depth":1,"depth":2}}]}', "parts[1].leaf.depth"),
        (SHAPES, '{"innerByString":{"x":{"a":1},"y":{"a":1,"a":2}}}', "inner_by_string.a"),
        (SHAPES, '{"anInner":{"around":{"anInt32":1,"an_int32":1}}}', "an_inner.around.an_int32"),
        (SHAPES, '{"anAny":{"@type":"t/polystream_trial.Shapes","anInt32":1,"an_int32":2}}', "an_any.an_int32"),
    ],
)
def test_what_is_given_twice_is_refused_at_every_depth_and_in_both_spellings(
    full_name: str, body: str, path: str
) -> None:
    """Neither of two values is taken in silence."""
    assert _faults(full_name, body) == [(path, _TWICE)]
    assert _refusal(full_name, body).reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"attributes":{"a":"1","a":"2"}}', "attributes"),
        (r'{"attributes":{"a":"1","\u0061":"2"}}', "attributes"),
        ('{"attributes":{"":"1","":"2"}}', "attributes"),
    ],
)
def test_a_map_has_each_name_once(body: str, path: str) -> None:
    """A map that says a name twice is refused; the name is the caller's own, and is not told."""
    assert _faults(_CONTENT, body) == [(path, "has a name twice; give each once")]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ('{"aStruct":{"a":1,"a":2}}', "a_struct"),
        ('{"aStruct":{"a":{"b":[{"c":1,"c":1}]}}}', "a_struct"),
        ('{"aValue":[{"a":1,"a":2}]}', "a_value"),
        ('{"anAny":{"@type":"t/google.protobuf.Struct","value":{"a":1,"a":1}}}', "an_any"),
        ('{"anAny":{"@type":"t/google.protobuf.Duration","value":"1s","value":"1s"}}', "an_any"),
    ],
)
def test_free_json_has_each_name_once(body: str, path: str) -> None:
    """So is an object whose names no type declares, at any depth."""
    assert _faults(SHAPES, body) == [(path, "has a name twice; give each once")]


@pytest.mark.parametrize(
    ("full_name", "body", "path"),
    [
        (_VIEW, '{"bogus":1}', "bogus"),
        (_VIEW, '{"userid":1}', "userid"),
        (_VIEW, '{"USER_ID":1}', "USER_ID"),
        (_VIEW, '{"":1}', ""),
        (_PAYMENT, '{"amount":{"bogus":1}}', "amount.bogus"),
        (_PAYMENT, '{"amount":{"units":"1","user_id":1}}', "amount.user_id"),
        (PLAIN, '{"parts":[{},{"leaf":{"bogus":null}}]}', "parts[1].leaf.bogus"),
        (SHAPES, '{"innerByString":{"key":{"bogus":[]}}}', "inner_by_string.bogus"),
    ],
)
def test_what_is_unknown_is_refused_with_its_whole_path(full_name: str, body: str, path: str) -> None:
    """A misspelt field is told by where it stands."""
    assert _faults(full_name, body) == [(path, _UNKNOWN)]
    assert _refusal(full_name, body).reason is Reason.UNKNOWN_FIELD


@pytest.mark.parametrize(
    ("full_name", "body", "fault"),
    [
        (_CONTENT, '{"genres":[["a"]]}', ("genres[0]", "must be a text in double quotes")),
        (_CONTENT, '{"genres":[[]]}', ("genres[0]", "must be a text in double quotes")),
        (_CONTENT, '{"genres":["a",["b"]]}', ("genres[1]", "must be a text in double quotes")),
        (_CONTENT, '{"genres":"a"}', ("genres", "must be a list in brackets")),
        (_CONTENT, '{"genres":{"a":"b"}}', ("genres", "must be a list in brackets")),
        (_CONTENT, '{"attributes":{"a":{}}}', ("attributes", "each value must be a text in double quotes")),
        (_CONTENT, '{"attributes":{"a":1}}', ("attributes", "each value must be a text in double quotes")),
        (_CONTENT, '{"attributes":{"a":null}}', ("attributes", "each value must not be null")),
        (_CONTENT, '{"attributes":[]}', ("attributes", "must be an object in braces")),
        (_CONTENT, '{"attributes":"a"}', ("attributes", "must be an object in braces")),
        (_PAYMENT, '{"amount":[{"units":1}]}', ("amount", "must be an object in braces")),
        (_PAYMENT, '{"amount":5}', ("amount", "must be an object in braces")),
        (_PAYMENT, '{"amount":{"units":[1]}}', ("amount.units", _WHOLE_64)),
        (_VIEW, '{"title":{"a":1}}', ("title", "must be a text in double quotes")),
        (_VIEW, '{"user_id":9223372036854775808}', ("user_id", _WHOLE_64)),
        (_VIEW, '{"watched_seconds":2147483648}', ("watched_seconds", _WHOLE_32)),
        (_VIEW, '{"position_percent":1e400}', ("position_percent", "must be a number, within the range of a double")),
        (_VIEW, '{"completed":"true"}', ("completed", "must be true or false")),
        (_VIEW, '{"kind":"FILM"}', ("kind", "must be one of MOVIE, SERIES, DOCUMENTARY")),
        (_VIEW, '{"kind":2147483648}', ("kind", "must be one of MOVIE, SERIES, DOCUMENTARY")),
        (_VIEW, '{"kind":-2147483649}', ("kind", "must be one of MOVIE, SERIES, DOCUMENTARY")),
        (SHAPES, '{"byInt32":{"x":1}}', ("by_int32", f"each name {_WHOLE_32}")),
        (
            SHAPES,
            '{"choiceByString":{"x":4294967296}}',
            ("choice_by_string", "each value must be one of ONE, TWO, NEGATIVE"),
        ),
        (PLAIN, '{"parts":[{"leaf":{"depth":0.5}}]}', ("parts[0].leaf.depth", _WHOLE_32)),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_whole_path(
    full_name: str, body: str, fault: tuple[str, str]
) -> None:
    """The fault says what the field takes."""
    assert _faults(full_name, body) == [fault]
    assert _refusal(full_name, body).reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    "text", ["1_0", "\u0661", "\uff11", "+1", "007", "-01", "1.", ".5", "1e", "0x1", " 1", "1 ", ""]
)
def test_a_text_for_a_number_is_one_of_json_s_grammar(text: str) -> None:
    """Python's own idea of a number in a text is wider, and is not taken."""
    for escaped in (False, True):
        body = json.dumps({"userId": text, "positionPercent": text}, ensure_ascii=escaped)
        assert [path for path, _ in _faults(_VIEW, body)] == ["user_id", "position_percent"]
    assert _faults(SHAPES, json.dumps({"int64s": ["1", text]}))[0][0] == "int64s[1]"
    assert _faults(PLAIN, json.dumps({"count": text}))[0][0] == "count"


_WAIT: Final = "polystream.v1.WaitOperationRequest"
_LOST = (
    *("9007199254740993.0", "9007199254740993e0", "9.007199254740993e15", "9007199254740991.4", "1e-400"),
    *("1.0000000000000000001", "-9007199254740993.0", "9223372036854775807e0", "0e999999999999999999999"),
)
_KEPT = ("9007199254740992.0", "123456789012345.0", "1e18", "1e5", "100000.000", "0.00000000000000000000", "-0.0")


@pytest.mark.parametrize("is_text", [False, True])
@pytest.mark.parametrize("number", [*_LOST, *_KEPT])
def test_no_digit_of_a_whole_number_is_lost(number: str, is_text: bool) -> None:
    """Wherever it stands: one that a double cannot hold is refused, with what to send."""
    value = f'"{number}"' if is_text else number
    for full_name, body, path in (
        (_VIEW, f'{{"user_id" : {value}}}', "user_id"),
        (_PAYMENT, f'{{"amount":{{"units":{value}}}}}', "amount.units"),
        (SHAPES, f'{{"anUint64":{value.replace("-9", "9")}}}', "an_uint64"),
        (SHAPES, f'{{"int64Wrapper":{value}}}', "int64_wrapper"),
        (SHAPES, f'{{"byInt64":{{"1":{value}}}}}', "by_int64"),
        (SHAPES, f'{{"int64Wrappers":[1,\n{value}]}}', "int64_wrappers[1]"),
    ):
        if number in _KEPT:
            JsonReader(full_name).read(body.encode())
        else:
            ((field, description),) = _faults(full_name, body)
            assert field == path
            assert description.endswith("in digits alone where a double cannot hold it")
    JsonReader(SHAPES).read(f'{{"aDouble":{value}}}'.encode())


@pytest.mark.parametrize(
    "text", ["1.s", "-1.s", "00s", "01.5s", "-00.5s", "0_1s", "1_0.5s", "+1s", "\uff11s", "1.0000000001s", "s"]
)
def test_a_duration_is_one_of_the_proto_s_grammar(text: str) -> None:
    """A fraction has digits, and nothing stands before the number."""
    for body, path in (
        (f'{{"aDuration":"{text}"}}', "a_duration"),
        (f'{{"durations":["1s","{text}"]}}', "durations[1]"),
        (f'{{"anInner":{{"around":{{"aDuration":"{text}"}}}}}}', "an_inner.around.a_duration"),
    ):
        assert [field for field, _ in _faults(SHAPES, body)] == [path]
    assert [field for field, _ in _faults(_WAIT, f'{{"timeout": "{text}"}}')] == ["timeout"]
    field = text_field(_WAIT, ("timeout",))
    with pytest.raises(PolystreamError):
        field.set(message_type(_WAIT).type(), (text,))


@pytest.mark.parametrize("text", ["1s", "-0.5s", "0s", "1.000000001s", "10.50s"])
def test_a_duration_is_taken(text: str) -> None:
    """As JSON and in a query."""
    read = JsonReader(_WAIT).read(f'{{"timeout":"{text}"}}'.encode()).message
    by_query = message_type(_WAIT).type()
    text_field(_WAIT, ("timeout",)).set(by_query, (text,))
    assert read.to_binary() == by_query.to_binary()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *(("byInt32", key) for key in ("1.0", "1e0", "-0", "01", "+1", " 1", "1_0", "", "2147483648", "-2147483649")),
        *(("byInt64", key) for key in ("9007199254740993.0", "9223372036854775808", "9" * 5_000)),
        *(("byUint32", key) for key in ("-1", "4294967296")),
        *(("byUint64", key) for key in ("-1", "18446744073709551616")),
    ],
)
def test_a_number_has_one_spelling_as_a_name_of_a_map(name: str, key: str) -> None:
    """Or two of them would be one entry, of which one value is lost."""
    ((field, description),) = _faults(SHAPES, f'{{"{name}":{{"1":1,"{key}":2}}}}')
    assert field == name.replace("I", "_i").replace("U", "_u").lower()
    assert description.startswith("each name must be a whole number")


def test_texts_that_look_like_numbers_are_taken_where_they_are_texts() -> None:
    """The grammar of numbers binds the fields that are numbers."""
    body = json.dumps({"title": "1_0", "request_id": "007"})

    read = JsonReader(_VIEW).read(body.encode())

    assert (read.message.title, read.named) == ("1_0", frozenset({"title", "request_id"}))


@pytest.mark.parametrize(
    ("body", "position"),
    [
        (b'{"user_id":1.}', "line 1, column 14"),
        (b'{"user_id":1.e2}', "line 1, column 14"),
        (b'{"user_id":1,\n "title":"\xff"}', "line 2, column 12"),
        (b'{"title":"\xc0\x80"}', "line 1, column 12"),
        (b'{"title":"\xed\xa0\x80"}', "line 1, column 12"),
        (b'{"bogus":1,\n"title":"\\ud800"}', "line 2, column 16"),
        (b'{"title":"\\udc00"}', "line 1, column 16"),
        (b'{"position_percent":NaN}', "line 1, column 21"),
        (b'{"user_id":"x",\n\n', "line 3, column 1"),
        (b"", "line 1, column 1"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        ('{"user_id":1}'.encode("utf-16-le"), "line 1, column 2"),
        (b"{} {}", "line 1, column 4"),
        (b"{'user_id':1}", "line 1, column 2"),
        (b'{"user_id":1}\x00', "line 1, column 14"),
    ],
)
def test_what_is_not_json_is_refused_with_the_position(body: bytes, position: str) -> None:
    """The error of a malformed body says where it stops being JSON."""
    refusal = _refusal(_VIEW, body)

    assert (refusal.reason, refusal.faults) == (Reason.MALFORMED_REQUEST, ())
    assert refusal.message.endswith(position), refusal.message


@pytest.mark.parametrize("body", ["[]", "null", "1", '"{}"', "true", "[{}]"])
def test_a_body_that_is_no_object_is_refused(body: str) -> None:
    """JSON that is no object is malformed for a request, and has no field at fault."""
    refusal = _refusal(_VIEW, body)

    assert (refusal.reason, refusal.faults) == (Reason.MALFORMED_REQUEST, ())
    assert "no JSON object" in refusal.message


def test_a_body_that_is_one_field_has_that_field_before_its_paths() -> None:
    """What a path begins with is the field that the body is."""
    assert _faults("google.type.Money", '{"bogus":1}', "amount") == [("amount.bogus", _UNKNOWN)]
    assert _faults("google.type.Money", "[]", "amount") == [("amount", "must be an object in braces")]
    assert _faults("google.protobuf.Timestamp", '"today"', "watch_time")[0][0] == "watch_time"


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"bogus":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"title":' + b"[" * 40 + b"]" * 40 + b"}",
        b'[{"a":' * 40 + b"1" + b"}]" * 40,
        b'{"title":"' + b"]" * 100 + b'","bogus":' + b"[" * 33,
    ],
)
def test_nesting_beyond_the_bound_is_refused_before_it_is_read(body: bytes) -> None:
    """A body of brackets would end the process: what reads it has no bound of its own."""
    assert f"deeper than {MAX_DEPTH} levels" in _refusal(_VIEW, body).message


@pytest.mark.parametrize(
    "make",
    [lambda: [[]] * 50, lambda: [{}] * 50, lambda: ["[[{"] * 50, lambda: ['\\"[{' * 20]],
    ids=["lists", "objects", "texts", "escapes"],
)
def test_many_brackets_side_by_side_or_in_texts_are_no_nesting(make: Callable[[], Any]) -> None:
    """The bound is on depth alone."""
    read = JsonReader(SHAPES).read(json.dumps({"aValue": make()}).encode())

    assert read.named == {"a_value"}


def test_a_body_may_be_nested_to_the_bound() -> None:
    """The deepest body that is taken has just as many levels as the bound says."""
    lists = MAX_DEPTH - 1
    body = '{"aList":' + "[" * lists + "]" * lists + "}"

    assert JsonReader(SHAPES).read(body.encode()).named == {"a_list"}


def test_at_most_fifty_faults_are_told() -> None:
    """An answer is bounded, whatever a body holds."""
    unknown = json.dumps({f"bogus{number}": 1 for number in range(60)})
    wrong = json.dumps({"genres": [1] * 60})

    assert [path for path, _ in _faults(_CONTENT, unknown)] == [f"bogus{number}" for number in range(50)]
    assert [path for path, _ in _faults(_CONTENT, wrong)] == [f"genres[{index}]" for index in range(50)]


def test_every_fault_is_told_at_once_in_the_order_of_the_body() -> None:
    """A caller can put everything right in one go."""
    body = '{"user_id":"x","bogus":1,"amount":{"units":true,"bogus":2},"method":"CASH","user_id":1}'

    assert [path for path, _ in _faults(_PAYMENT, body)] == [
        *("user_id", "bogus", "amount.units", "amount.bogus", "method", "user_id")
    ]


def test_a_name_that_the_caller_made_up_is_told_bounded_and_printable() -> None:
    """An unknown name cannot fill an answer or a terminal."""
    faults = _faults(_VIEW, json.dumps({"x" * 5000: 1, "a\nb\u202e\x00": 2}))

    assert [path for path, _ in faults] == ["x" * MAX_NAME_CHARACTERS + "…", "a\\u000ab\\u202e\\u0000"]


@pytest.mark.parametrize(
    "body",
    [
        '{"user_id":"SECRET"}',
        '{"user_id":SECRET}',
        '{"title":{"SECRET":1}}',
        '{"kind":"SECRET"}',
        '{"watch_time":"SECRET"}',
        '{"title":["SECRET"]}',
        '{"title":"SECRET',
        '"SECRET"',
    ],
)
def test_no_value_of_the_caller_is_told(body: str) -> None:
    """Errors may be logged, so nothing of a value is in them."""
    assert "SECRET" not in str(_refusal(_VIEW, body).to_status())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("{}", set()),
        ('{"user_id":0,"title":"","completed":false}', {"user_id", "title", "completed"}),
        ('{"user_id":null,"title":"x"}', {"title"}),
        ('{"title":"\\"user_id\\":1,","kind" : null , "completed":\tnull}', {"title"}),
        ('{"title":"null","userId":1}', {"title", "user_id"}),
        (r'{"titl\u0065":"x"}', {"title"}),
    ],
)
def test_named_is_what_has_a_value_other_than_null(body: str, named: set[str]) -> None:
    """An empty value is a value; null is none."""
    assert JsonReader(_VIEW).read(body.encode()).named == named


def test_only_the_request_s_own_fields_are_named() -> None:
    """Names further down belong to other messages."""
    reader = JsonReader(_PAYMENT)

    for _ in range(2):  # the second time, the names are known
        read = reader.read(b'{"amount":{"units":5,"nanos":null,"currencyCode":"BRL"},"method":"PIX"}')
        assert read.named == {"amount", "method"}


@pytest.mark.parametrize("full_name", [PLAIN, SHAPES, _VIEW, _PAYMENT, _CONTENT])
def test_the_quick_look_at_names_says_what_the_thorough_one_says(full_name: str) -> None:
    """Both ways of looking agree on thousands of seeded bodies."""
    quick, thorough = JsonReader(full_name), JsonReader(full_name)
    thorough._names = None
    bodies = _Bodies(full_name, seed=14)

    taken = 0
    for _ in range(3000):
        body = bodies.body().encode()
        assert _outcome(quick, body) == _outcome(thorough, body), body
        taken += _outcome(quick, body)[0] == "taken"

    assert taken > 200


@pytest.mark.parametrize(
    "odd",
    [
        '{"user_id":1,"title":"x","completed":true,"title" :"y"}',
        '{"user_id":1,"title":"x","title":true}',
        '{"user_id":1,"title" :"x","title":"y"}',
        '{"user_id":1,"title":"x","titl\\u0065":"y","completed":true}',
        '{"user_id":1,"title":":","title":"y","completed":true}',
        '{"user_id":"1_0","title":"x","completed":true}',
        '{"user_id":"+1","title":"x","completed":true}',
        '{"user_id":" 1","title":"x","completed":true}',
        '{"user_id":1,"title":"x","completed":null}',
        '{"user_id":1,"title":"x","completed": null}',
        '{"user_id":9007199254740993.0,"title":"x","completed":true}',
        '{"user_id":900719925474099.30,"title":"x","completed":true}',
        '{"user_id":9007199254740993e0,"title":"x","completed":true}',
        '{"user_id":9.007199254740993E15,"title":"x","completed":true}',
        '{"user_id":"9007199254740993.0","title":"x","completed":true}',
        '{"user_id":123456789012345e3,"title":"x","completed":true}',
        r'{"user_id":"\u0031_0","title":"x","completed":true}',
        '{"user_id":1,"title":"x","completed":true,"userId":2}',
        '{"user_id":1,"userId":2,"completed":true}',
    ],
)
def test_names_that_were_found_good_vouch_for_nothing_else(odd: str) -> None:
    """Beside a body with the same names, one with a doubt is looked at as if it were the first."""
    reader = JsonReader(_VIEW)
    for good in ('{"user_id":1,"title":"x","completed":true}', '{"user_id":1,"title":"x","kind":1,"completed":true}'):
        assert _outcome(reader, good.encode())[0] == "taken"

    first = _outcome(JsonReader(_VIEW), odd.encode())
    assert _outcome(reader, odd.encode()) == first
    assert _outcome(reader, odd.encode()) == first


def _outcome(reader: JsonReader, body: bytes) -> tuple[Any, ...]:
    try:
        read = reader.read(body)
    except PolystreamError as error:
        return error.reason, error.message, error.faults
    return "taken", read.message.to_binary(), read.named


class _Bodies:
    """Seeded bodies: mostly names that there are, each often twice, with every trap for who looks at text alone."""

    _TEXTS: Final = (
        *(
            '""',
            '"a"',
            '"a:b"',
            '"a,"',
            '"{"',
            r'"\""',
            r'"\\"',
            r'"x\":"',
            r'","',
            '":"',
            '"null"',
            r'"\u0061"',
            '"é"',
        ),
        *('"1"', '"1_0"', '"-1"', '"2026-01-01T00:00:00Z"', '"BRL"', '"PIX"', '"MOVIE"', r'"\u0031"'),
    )
    _PLAIN: Final = ("1", "0", "-1", "true", "false", "null", "1.5")

    def __init__(self, full_name: str, seed: int) -> None:
        self._random = random.Random(f"{seed} {full_name}")
        reader = JsonReader(full_name)
        self._names = [name for field in reader._descriptor.fields for name in (field.name, field.json_name)]
        self._names += ["name", "size", "leaf", "depth", "units", "nanos", "a"]

    def body(self, depth: int = 0) -> str:
        members = (
            f"{self._blank()}{self._name()}{self._blank()}:{self._blank()}{self._value(depth)}{self._blank()}"
            for _ in range(self._random.choice((0, 1, 1, 2, 3)))
        )
        return "{" + ",".join(members) + "}"

    def _name(self) -> str:
        name = self._random.choice(self._names)
        if self._random.random() < 0.1:
            at = self._random.randrange(len(name))
            name = f"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"
        return f'"{name}"'

    def _value(self, depth: int) -> str:
        kind = self._random.random()
        if kind < 0.45:
            return self._random.choice(self._TEXTS)
        if kind < 0.75 or depth > 3:
            return self._random.choice(self._PLAIN)
        if kind < 0.9:
            return self.body(depth + 1)
        return "[" + ",".join(self._value(depth + 1) for _ in range(self._random.randrange(3))) + "]"

    def _blank(self) -> str:
        return self._random.choice(("", "", "", " ", "\n", "\t", "\r"))
