"""The JSON of REST is protobuf's: the facts of `binary_json_conformance_suite.cc` in protobuf's conformance suite.

Both what it requires and what it recommends, by the bytes of HTTP at the gateway's port, on messages of our own that
have a field of every shape (tests/support/json_trial.proto). What a text means is said in protobuf's text format and
compared with what protobuf's own runtime makes of that.
"""

import json
import struct
from collections.abc import Callable, Iterator

import pytest
from google.protobuf.message import Message

from gateway.rest.json_writer import JsonWriter
from gateway.rest.routes import Routes
from tests.support.door_wire import DoorWire, WireAnswer
from tests.support.json_trial import SHAPES, EchoCalls, trial_message, trial_pool, trial_service

_SHAPES_URL = f"type.googleapis.com/{SHAPES}"
_ANY_URL = "type.googleapis.com/google.protobuf.Any"
_NAMES = (
    *(("plain1", "plain1"), ("twoWords2", "two_words2"), ("Leading3", "_leading3")),
    *(("doubleTrailing4", "double__trailing4_"), ("with0digit5", "with0digit5"), ("with0Digit6", "with_0_digit6")),
    *(("mixedCase7", "mixedCase7"), ("UpperCase8", "UpperCase8"), ("mixedCase9", "mixed_Case9")),
    *(("UpperCase10", "Upper_Case10"), ("ALLUPPER11", "ALL_UPPER11"), ("SOMEUpper12", "SOME_upper12")),
    *(("TwoLeading13", "__two_leading13"), ("TwoLeading14", "__Two_leading14"), ("twoBetween15", "two__between15")),
    *(("twoBetween16", "two__Between16"), ("twoTrailing17", "two_trailing17__"), ("TwoTrailing18", "Two_trailing18__")),
)

_TAKEN = {
    # Whole numbers
    '{"anInt32": 2147483647}': "an_int32: 2147483647",
    '{"anInt32": -2147483648}': "an_int32: -2147483648",
    '{"anUint32": 4294967295}': "an_uint32: 4294967295",
    '{"anInt64": "9223372036854775807"}': "an_int64: 9223372036854775807",
    '{"anInt64": "-9223372036854775808"}': "an_int64: -9223372036854775808",
    '{"anUint64": "18446744073709551615"}': "an_uint64: 18446744073709551615",
    '{"anInt64": 9223372036854774784}': "an_int64: 9223372036854774784",
    '{"anInt64": 9223372036854775807}': "an_int64: 9223372036854775807",
    '{"anInt64": -9223372036854775808}': "an_int64: -9223372036854775808",
    '{"anUint64": 18446744073709549568}': "an_uint64: 18446744073709549568",
    '{"aSint32": -1, "aSint64": "-1"}': "a_sint32: -1 a_sint64: -1",
    '{"aFixed32": 1, "aFixed64": "1", "aSfixed32": -1, "aSfixed64": "-1"}': (
        "a_fixed32: 1 a_fixed64: 1 a_sfixed32: -1 a_sfixed64: -1"
    ),
    '{"anInt32": "2147483647"}': "an_int32: 2147483647",
    r'{"anInt32": "2\u003147483647"}': "an_int32: 2147483647",
    '{"anInt32": 100000.000}': "an_int32: 100000",
    '{"anInt32": "1e5"}': "an_int32: 100000",
    '{"anInt32": "100000.000"}': "an_int32: 100000",
    '{"byInt32": {"-2147483648": 1}, "byInt64": {"-9223372036854775808": 1}}': (
        "by_int32: {key: -2147483648 value: 1} by_int64: {key: -9223372036854775808 value: 1}"
    ),
    '{"anInt32": 1e5}': "an_int32: 100000",
    '{"anInt32": 2.147483647e9}': "an_int32: 2147483647",
    '{"anInt32": -2.147483648e9}': "an_int32: -2147483648",
    '{"anUint32": 4.294967295e9}': "an_uint32: 4294967295",
    '{"anInt32": -0}': "",
    '{"aPresentInt32": 0}': "a_present_int32: 0",
    # Booleans
    '{"aBool":true}': "a_bool: true",
    '{"aBool":false}': "a_bool: false",
    # Floating-point numbers
    '{"aFloat": 1.175494e-38}': "a_float: 1.175494e-38",
    '{"aFloat": -1.175494e-38}': "a_float: -1.175494e-38",
    '{"aFloat": 3.402823e+38}': "a_float: 3.402823e+38",
    '{"aFloat": -3.402823e+38}': "a_float: -3.402823e+38",
    '{"aFloat": "1"}': "a_float: 1",
    '{"aFloat": "NaN"}': "a_float: nan",
    '{"aFloat": "Infinity"}': "a_float: inf",
    '{"aFloat": "-Infinity"}': "a_float: -inf",
    '{"aDouble": 2.22507e-308}': "a_double: 2.22507e-308",
    '{"aDouble": -2.22507e-308}': "a_double: -2.22507e-308",
    '{"aDouble": 1.79769e+308}': "a_double: 1.79769e+308",
    '{"aDouble": -1.79769e+308}': "a_double: -1.79769e+308",
    '{"aDouble": "1"}': "a_double: 1",
    '{"aDouble": "-1.5e2"}': "a_double: -150",
    '{"aDouble": "NaN"}': "a_double: nan",
    '{"aDouble": "Infinity"}': "a_double: inf",
    '{"aDouble": "-Infinity"}': "a_double: -inf",
    # Enums
    '{"aChoice": "TWO"}': "a_choice: TWO",
    '{"anAlias": "SECOND"}': "an_alias: SECOND",
    '{"anAlias": "ALSO_SECOND"}': "an_alias: SECOND",
    '{"anAlias": "second_too"}': "an_alias: SECOND",
    '{"aChoice": 0}': "",
    '{"aChoice": 1}': "a_choice: ONE",
    '{"aChoice": -1}': "a_choice: NEGATIVE",
    '{"aChoice": 123}': "a_choice: 123",
    # Strings
    '{"aString": "Hello world!"}': 'a_string: "Hello world!"',
    '{"aString": "谷歌"}': 'a_string: "谷歌"',
    r'{"aString": "\"\\\/\b\f\n\r\t"}': r'a_string: "\"\\/\b\f\n\r\t"',
    r'{"aString": "\u8C37\u6B4C"}': 'a_string: "谷歌"',
    r'{"aString": "\u8c37\u6b4c"}': 'a_string: "谷歌"',
    r'{"aString": "\uD83D\uDE01"}': r'a_string: "\xF0\x9F\x98\x81"',
    r'{"aString": "Hello\u0000world!"}': r'a_string: "Hello\000world!"',
    # Bytes
    '{"someBytes": "AQI="}': r'some_bytes: "\x01\x02"',
    '{"someBytes": "-_"}': r'some_bytes: "\xfb"',
    '{"someBytes": "+/8="}': r'some_bytes: "\xfb\xff"',
    '{"someBytes": "-_8"}': r'some_bytes: "\xfb\xff"',
    # Messages
    '{"anInner": {"a": 1234}}': "an_inner: {a: 1234}",
    '{"anInner": {}}': "an_inner: {}",
    '{"anInner": {"around": {"anInner": {"a": 1}}}}': "an_inner: {around: {an_inner: {a: 1}}}",
    # Oneofs
    '{"oneUint32": null, "oneString": "test"}': 'one_string: "test"',
    '{"oneString": "test", "oneUint32": null}': 'one_string: "test"',
    '{"oneUint32": 0}': "one_uint32: 0",
    '{"oneInner": {}}': "one_inner: {}",
    '{"oneString": ""}': 'one_string: ""',
    '{"oneBytes": ""}': 'one_bytes: ""',
    '{"oneBool": false}': "one_bool: false",
    '{"oneUint64": 0}': "one_uint64: 0",
    '{"oneFloat": 0.0}': "one_float: 0",
    '{"oneDouble": 0.0}': "one_double: 0",
    '{"oneChoice":"ZERO"}': "one_choice: ZERO",
    '{"oneNull": null}': "one_null: NULL_VALUE",
    '{"oneNull": "NULL_VALUE"}': "one_null: NULL_VALUE",
    # Maps
    '{"byInt32": {"1": 2, "3": 4}}': "by_int32: {key: 1 value: 2} by_int32: {key: 3 value: 4}",
    '{"byInt64": {"1": 2, "3": 4}}': "by_int64: {key: 1 value: 2} by_int64: {key: 3 value: 4}",
    '{"byUint32": {"1": 2, "3": 4}}': "by_uint32: {key: 1 value: 2} by_uint32: {key: 3 value: 4}",
    '{"byUint64": {"1": 2, "3": 4}}': "by_uint64: {key: 1 value: 2} by_uint64: {key: 3 value: 4}",
    '{"byBool": {"true": true, "false": false}}': (
        "by_bool: {key: true value: true} by_bool: {key: false value: false}"
    ),
    '{"innerByString": {"hello": {"a": 1234}, "world": {"a": 5678}}}': (
        'inner_by_string: {key: "hello" value: {a: 1234}} inner_by_string: {key: "world" value: {a: 5678}}'
    ),
    '{"choiceByString": {"x": "TWO"}}': 'choice_by_string: {key: "x" value: TWO}',
    r'{"byInt32": {"\u0031": 2}}': "by_int32: {key: 1 value: 2}",
    r'{"byInt64": {"\u0031": 2}}': "by_int64: {key: 1 value: 2}",
    r'{"byBool": {"tr\u0075e": true}}': "by_bool: {key: true value: true}",
    # Lists
    '{"int32s": [1, 2, 3, 4]}': "int32s: [1, 2, 3, 4]",
    '{"choices": ["ZERO", "ONE", "TWO"]}': "choices: [ZERO, ONE, TWO]",
    '{"strings": ["Hello", "world"]}': 'strings: ["Hello", "world"]',
    '{"bytesList": ["AAEC", "AQI="]}': r'bytes_list: ["\x00\x01\x02", "\x01\x02"]',
    '{"inners": [{"a": 1234}, {"a": 5678}]}': "inners: {a: 1234} inners: {a: 5678}",
    '{"int32s": []}': "",
    # Wrappers
    '{"boolWrapper": false}': "bool_wrapper: {value: false}",
    '{"int32Wrapper": 0}': "int32_wrapper: {value: 0}",
    '{"uint32Wrapper": 0}': "uint32_wrapper: {value: 0}",
    '{"int64Wrapper": 0}': "int64_wrapper: {value: 0}",
    '{"uint64Wrapper": 0}': "uint64_wrapper: {value: 0}",
    '{"floatWrapper": 0}': "float_wrapper: {value: 0}",
    '{"doubleWrapper": 0}': "double_wrapper: {value: 0}",
    '{"stringWrapper": ""}': 'string_wrapper: {value: ""}',
    '{"bytesWrapper": ""}': 'bytes_wrapper: {value: ""}',
    '{"boolWrapper": true, "int32Wrapper": 1, "uint32Wrapper": 1}': (
        "bool_wrapper: {value: true} int32_wrapper: {value: 1} uint32_wrapper: {value: 1}"
    ),
    '{"int64Wrapper": "1", "uint64Wrapper": "1", "floatWrapper": 1, "doubleWrapper": 1}': (
        "int64_wrapper: {value: 1} uint64_wrapper: {value: 1} float_wrapper: {value: 1} double_wrapper: {value: 1}"
    ),
    '{"stringWrapper": "1", "bytesWrapper": "AQI="}': (
        r'string_wrapper: {value: "1"} bytes_wrapper: {value: "\x01\x02"}'
    ),
    '{"boolWrappers": [true, false]}': "bool_wrappers: {value: true} bool_wrappers: {value: false}",
    '{"int32Wrappers": [0, 1]}': "int32_wrappers: {value: 0} int32_wrappers: {value: 1}",
    '{"uint32Wrappers": [0, 1]}': "uint32_wrappers: {value: 0} uint32_wrappers: {value: 1}",
    '{"int64Wrappers": [0, 1]}': "int64_wrappers: {value: 0} int64_wrappers: {value: 1}",
    '{"uint64Wrappers": [0, 1]}': "uint64_wrappers: {value: 0} uint64_wrappers: {value: 1}",
    '{"floatWrappers": [0, 1]}': "float_wrappers: {value: 0} float_wrappers: {value: 1}",
    '{"doubleWrappers": [0, 1]}': "double_wrappers: {value: 0} double_wrappers: {value: 1}",
    '{"stringWrappers": ["", "AQI="]}': 'string_wrappers: {value: ""} string_wrappers: {value: "AQI="}',
    '{"bytesWrappers": ["", "AQI="]}': r'bytes_wrappers: {value: ""} bytes_wrappers: {value: "\x01\x02"}',
    # Durations
    '{"aDuration": "-315576000000.999999999s"}': "a_duration: {seconds: -315576000000 nanos: -999999999}",
    '{"aDuration": "315576000000.999999999s"}': "a_duration: {seconds: 315576000000 nanos: 999999999}",
    '{"durations": ["1.5s", "-1.5s"]}': (
        "durations: {seconds: 1 nanos: 500000000} durations: {seconds: -1 nanos: -500000000}"
    ),
    '{"aDuration": "-5s"}': "a_duration: {seconds: -5}",
    '{"aDuration": "-0.5s"}': "a_duration: {nanos: -500000000}",
    # Times
    '{"aTime": "0001-01-01T00:00:00Z"}': "a_time: {seconds: -62135596800}",
    '{"aTime": "9999-12-31T23:59:59.999999999Z"}': "a_time: {seconds: 253402300799 nanos: 999999999}",
    '{"times": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"]}': (
        "times: {seconds: -62135596800} times: {seconds: 253402300799 nanos: 999999999}"
    ),
    '{"aTime": "1993-02-10T00:00:00.000Z"}': "a_time: {seconds: 729302400}",
    '{"aTime": "1970-01-01T08:00:01+08:00"}': "a_time: {seconds: 1}",
    '{"aTime": "1969-12-31T16:00:01-08:00"}': "a_time: {seconds: 1}",
    # Field masks
    '{"aMask": "foo,barBaz"}': 'a_mask: {paths: "foo" paths: "bar_baz"}',
    '{"aMask": ""}': "a_mask: {}",
    # Structs and values
    '{"aStruct": {"none": null, "number": 1234, "yes": true, "half": 0.5}}': (
        'a_struct: {fields: {key: "none" value: {null_value: NULL_VALUE}}'
        ' fields: {key: "number" value: {number_value: 1234}} fields: {key: "yes" value: {bool_value: true}}'
        ' fields: {key: "half" value: {number_value: 0.5}}}'
    ),
    '{"aStruct": {"text": "Hello", "list": [1234, "5678"], "object": {"value": 0}}}': (
        'a_struct: {fields: {key: "text" value: {string_value: "Hello"}}'
        ' fields: {key: "list" value: {list_value: {values: {number_value: 1234} values: {string_value: "5678"}}}}'
        ' fields: {key: "object" value: {struct_value: {fields: {key: "value" value: {number_value: 0}}}}}}'
    ),
    '{"aStruct": {"list": []}}': 'a_struct: {fields: {key: "list" value: {list_value: {}}}}',
    '{"aValue": 1}': "a_value: {number_value: 1}",
    '{"aValue": 1.5}': "a_value: {number_value: 1.5}",
    '{"aValue": false}': "a_value: {bool_value: false}",
    '{"aValue": null}': "a_value: {null_value: NULL_VALUE}",
    '{"aValue": "hello"}': 'a_value: {string_value: "hello"}',
    '{"aValue": [0, "hello"]}': 'a_value: {list_value: {values: {number_value: 0} values: {string_value: "hello"}}}',
    '{"aValue": {"value": 1}}': 'a_value: {struct_value: {fields: {key: "value" value: {number_value: 1}}}}',
    '{"values": [["a"]]}': 'values: {list_value: {values: {string_value: "a"}}}',
    '{"values": [null]}': "values: {null_value: NULL_VALUE}",
    '{"lists": [["a"]]}': 'lists: {values: {string_value: "a"}}',
    '{"aNull": null}': "",
    # Any
    '{"anAny": {}}': "an_any: {}",
    f'{{"anAny": {{"@type": "{_SHAPES_URL}", "anInt32": 12345}}}}': f"an_any: {{[{_SHAPES_URL}] {{an_int32: 12345}}}}",
    f'{{"anAny": {{"anInt32": 12345, "@type": "{_SHAPES_URL}"}}}}': f"an_any: {{[{_SHAPES_URL}] {{an_int32: 12345}}}}",
    f'{{"anAny": {{"@type": "{_ANY_URL}", "value": {{"@type": "{_SHAPES_URL}", "anInt32": 1}}}}}}': (
        f"an_any: {{[{_ANY_URL}] {{[{_SHAPES_URL}] {{an_int32: 1}}}}}}"
    ),
    '{"anAny": {"@type": "type.googleapis.com/google.protobuf.Int32Value", "value": 12345}}': (
        "an_any: {[type.googleapis.com/google.protobuf.Int32Value] {value: 12345}}"
    ),
    '{"anAny": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.5s"}}': (
        "an_any: {[type.googleapis.com/google.protobuf.Duration] {seconds: 1 nanos: 500000000}}"
    ),
    '{"anAny": {"@type": "type.googleapis.com/google.protobuf.Timestamp", "value": "1970-01-01T00:00:00Z"}}': (
        "an_any: {[type.googleapis.com/google.protobuf.Timestamp] {}}"
    ),
    '{"anAny": {"@type": "type.googleapis.com/google.protobuf.FieldMask", "value": "foo,barBaz"}}': (
        'an_any: {[type.googleapis.com/google.protobuf.FieldMask] {paths: ["foo", "bar_baz"]}}'
    ),
    '{"anAny": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"foo": 1}}}': (
        'an_any: {[type.googleapis.com/google.protobuf.Struct] {fields: {key: "foo" value: {number_value: 1}}}}'
    ),
    '{"anAny": {"@type": "type.googleapis.com/google.protobuf.Value", "value": {"foo": 1}}}': (
        "an_any: {[type.googleapis.com/google.protobuf.Value]"
        ' {struct_value: {fields: {key: "foo" value: {number_value: 1}}}}}'
    ),
    '{"anAny": {"@type": "type.googleapis.com/google.protobuf.Value", "value": 1}}': (
        "an_any: {[type.googleapis.com/google.protobuf.Value] {number_value: 1}}"
    ),
    # Names and blanks
    r'{"pl\u0061in1": 1}': "plain1: 1",
    '{"anInt32":1,"anInt64":2}': "an_int32: 1 an_int64: 2",
    '{ "anInt32" : 1 , "anInt64" : 2 }': "an_int32: 1 an_int64: 2",
    '{\n"anInt32"\n:\n1\n,\n"anInt64"\n:\n2\n}': "an_int32: 1 an_int64: 2",
    '{\n  "anInt32"  :  1\n  ,\n  "anInt64"  :  2\n}\n': "an_int32: 1 an_int64: 2",
    '{\r\n\t"anInt32":\t1}\r\n': "an_int32: 1",
    "{}": "",
}

# What is refused, with the path that is at fault; None where the text is not JSON.
_REFUSED = {
    '{"anInt32": 2147483648}': "an_int32",
    '{"anInt32": -2147483649}': "an_int32",
    '{"anUint32": 4294967296}': "an_uint32",
    '{"anUint32": -1}': "an_uint32",
    '{"anInt64": "9223372036854775808"}': "an_int64",
    '{"anInt64": "-9223372036854775809"}': "an_int64",
    '{"anUint64": "18446744073709551616"}': "an_uint64",
    '{"anInt32": 0.5}': "an_int32",
    '{"anUint32": 0.5}': "an_uint32",
    '{"anInt64": "0.5"}': "an_int64",
    '{"anUint64": "0.5"}': "an_uint64",
    '{"anInt32": "3x3"}': "an_int32",
    '{"anUint32": "3x3"}': "an_uint32",
    '{"anInt64": "3x3"}': "an_int64",
    '{"anUint64": "3x3"}': "an_uint64",
    '{"anInt32": +1}': None,
    '{"anInt32": 01}': None,
    '{"anInt32": -01}': None,
    '{"anInt32": " 1"}': "an_int32",
    '{"anInt32": "1 "}': "an_int32",
    '{"anInt32": ""}': "an_int32",
    '{"anInt32": true}': "an_int32",
    '{"aBool":0}': "a_bool",
    '{"aBool":1}': "a_bool",
    '{"aBool":True}': None,
    '{"aBool":False}': None,
    '{"aBool":TRUE}': None,
    '{"aBool":FALSE}': None,
    '{"aBool":"true"}': "a_bool",
    '{"aBool":"false"}': "a_bool",
    '{"aFloat": NaN}': None,
    '{"aFloat": Infinity}': None,
    '{"aFloat": -Infinity}': None,
    '{"aFloat": -3.502823e+38}': "a_float",
    '{"aFloat": 3.502823e+38}': "a_float",
    '{"aDouble": NaN}': None,
    '{"aDouble": Infinity}': None,
    '{"aDouble": -Infinity}': None,
    '{"aDouble": -1.89769e+308}': "a_double",
    '{"aDouble": 1.89769e+308}': "a_double",
    '{"aDouble": +1.89769e+308}': None,
    '{"aDouble": "nan"}': "a_double",
    '{"aChoice": ONE}': None,
    '{"aChoice": "one"}': "a_choice",
    '{"aChoice": "1"}': "a_choice",
    '{"aChoice": 1.5}': "a_choice",
    '{"aChoice": "UNKNOWN"}': "a_choice",
    '{"choices": ["UNKNOWN"]}': "choices[0]",
    '{"choiceByString": {"key": "UNKNOWN"}}': "choice_by_string",
    r'{"aString": "\U8C37\U6b4C"}': None,
    r'{"aString": "\uXXXX\u6B4C"}': None,
    r'{"aString": "\u8C3"}': None,
    r'{"aString": "\uD800"}': None,
    r'{"aString": "\uDC00"}': None,
    r'{"aString": "\uDE01\uD83D"}': None,
    '{"aString": "a\nb"}': None,
    '{"aString": 12345}': "a_string",
    '{"someBytes": "!"}': "some_bytes",
    '{"someBytes": 1}': "some_bytes",
    '{"anInner": 1}': "an_inner",
    '{"oneUint32": 1, "oneString": "test"}': "one_string",
    '{"byInt32": {1: 2, 3: 4}}': None,
    '{"byInt64": {1: 2, 3: 4}}': None,
    '{"byUint32": {1: 2, 3: 4}}': None,
    '{"byUint64": {1: 2, 3: 4}}': None,
    '{"byBool": {true: true, false: false}}': None,
    '{"byInt32": {"x": 1}}': "by_int32",
    '{"byBool": {"yes": true}}': "by_bool",
    '{"byInt32": {null: 1}}': None,
    '{"byInt32": {"0": null}}': "by_int32",
    "{'aString': \"Hello world!\"}": None,
    "{\"aString\": 'Hello world!'}": None,
    "{'aString': 'Hello world!'}": None,
    '{"int32s": [1, false, 3, 4]}': "int32s[1]",
    '{"int32s": [1, 2, "name", 4]}': "int32s[2]",
    '{"int32s": [1, 2, 3, {"a": 4}]}': "int32s[3]",
    '{"strings": ["1", 2, "3", "4"]}': "strings[1]",
    '{"strings": ["1", "2", false, "4"]}': "strings[2]",
    '{"strings": ["1", "2", "3", {"a": 4}]}': "strings[3]",
    '{"inners": [{"a": 1}, 2]}': "inners[1]",
    '{"inners": [{"a": 1}, false]}': "inners[1]",
    '{"inners": [{"a": 1}, "2"]}': "inners[1]",
    '{"int32s": [1, 2, 3, 4,]}': None,
    '{"int32s": [1, 2, 3, 4 ,]}': None,
    '{"int32s": [1, 2, 3, 4 , ]}': None,
    '{"int32s": [\n  1,\n  2,\n]}': None,
    '{"int32s": [1, null, 2]}': "int32s[1]",
    '{"inners": [{"a":1}, null, {"a":2}]}': "inners[1]",
    '{"boolWrappers": [true, null]}': "bool_wrappers[1]",
    '{"aDuration": "1"}': "a_duration",
    '{"aDuration": "-315576000001.000000000s"}': "a_duration",
    '{"aDuration": "315576000001.000000000s"}': "a_duration",
    '{"aTime": "0000-01-01T00:00:00Z"}': "a_time",
    '{"aTime": "10000-01-01T00:00:00Z"}': "a_time",
    '{"aTime": "0001-01-01T00:00:00"}': "a_time",
    '{"aTime": "0001-01-01 00:00:00Z"}': "a_time",
    '{"aTime": "0001-01-01T00:00:00z"}': "a_time",
    '{"aTime": "0001-01-01t00:00:00Z"}': "a_time",
    '{"aMask": "foo,bar_bar"}': "a_mask",
    '{"aStruct": []}': "a_struct",
    '{"aList": {}}': "a_list",
    '{"aList": 1}': "a_list",
    '{"anAny": {"@type": "type.googleapis.com/polystream_trial.Unheard"}}': "an_any",
    '{"anAny": 1}': "an_any",
    '{"anAny": {"@type": "", "value": ""}}': "an_any",
    '{"anAny": {"@type": "foo", "value": ""}}': "an_any",
    '{"anAny": {"value": 1}}': "an_any",
    '{"aString": "abc\\': None,
    "{plain1: 1}": None,
    '{"plain1":1,}': None,
    '{"plain1":1 ,}': None,
    '{"plain1":1 , }': None,
    '{\n"plain1":1,\n}': None,
    '{\n// This is a comment.\n"plain1": 1\n}': None,
    '{ "anInt32": 1 "anInt64": 2 }': None,
    '{\n  "anInt32": 1\n  "anInt64": 2\n}': None,
    '{"anInner": {"a": 1}, "anInner": {}}': "an_inner",
    '{"an_inner": {"a": 1}, "anInner": {}}': "an_inner",
    '{"anInner": {"a": 1}, "an_inner": {}}': "an_inner",
    '{"unknown": 1}': "unknown",
    '{"unknown": "a"}': "unknown",
    '{"unknown": true}': "unknown",
    '{"unknown": null}': "unknown",
    '{"unknown": {"a": 1}}': "unknown",
    '{"[polystream_trial.extension]": 1}': "[polystream_trial.extension]",
    "null": None,
}

# What is written of a field that was read: by its proto name.
_WRITTEN = {
    '{"anInt64": 1}': ("an_int64", "1"),
    '{"anUint64": 1}': ("an_uint64", "1"),
    '{"anInt32": "1"}': ("an_int32", 1),
    '{"aChoice": 123}': ("a_choice", 123),
    '{"aChoice": 1}': ("a_choice", "ONE"),
    '{"aDouble": "NaN"}': ("a_double", "NaN"),
    '{"aDouble": "-Infinity"}': ("a_double", "-Infinity"),
    '{"someBytes": "-_8"}': ("some_bytes", "+/8="),
    '{"aDuration": "1.000000000s"}': ("a_duration", "1s"),
    '{"aDuration": "1.010000000s"}': ("a_duration", "1.010s"),
    '{"aDuration": "1.000010000s"}': ("a_duration", "1.000010s"),
    '{"aDuration": "1.000000010s"}': ("a_duration", "1.000000010s"),
    '{"aTime": "1969-12-31T16:00:00-08:00"}': ("a_time", "1970-01-01T00:00:00Z"),
    '{"aTime": "1970-01-01T00:00:00.000000000Z"}': ("a_time", "1970-01-01T00:00:00Z"),
    '{"aTime": "1970-01-01T00:00:00.010000000Z"}': ("a_time", "1970-01-01T00:00:00.010Z"),
    '{"aTime": "1970-01-01T00:00:00.000010000Z"}': ("a_time", "1970-01-01T00:00:00.000010Z"),
    '{"aTime": "1970-01-01T00:00:00.000000010Z"}': ("a_time", "1970-01-01T00:00:00.000000010Z"),
    '{"aMask": "foo,barBaz"}': ("a_mask", "foo,barBaz"),
    '{"oneNull": "NULL_VALUE"}': ("one_null", None),
    '{"oneNull": null}': ("one_null", None),
    '{"oneUint32": 0}': ("one_uint32", 0),
    '{"__two_leading13": 0}': ("__two_leading13", 0),
    "{}": ("by_string", {}),
}

# What has no JSON.
_UNWRITABLE = (
    *("a_duration: {seconds: -315576000001}", "a_duration: {seconds: 315576000001}"),
    *("a_time: {seconds: -62135596801}", "a_time: {seconds: 253402300800}"),
    *('a_mask: {paths: "fooBar"}', 'a_mask: {paths: "foo_3_bar"}', 'a_mask: {paths: "foo__bar"}'),
    *("a_value: {number_value: nan}", "a_value: {number_value: inf}"),
)


@pytest.fixture(scope="module")
def calls() -> EchoCalls:
    """Return what keeps each request and answers with it."""
    return EchoCalls()


@pytest.fixture(scope="module")
def wire(calls: EchoCalls) -> Iterator[DoorWire]:
    """Open the port."""
    port = DoorWire(calls, Routes([trial_service()]))
    yield port
    port.close()


Read = Callable[[str], tuple[Message, frozenset[str]]]


@pytest.fixture
def ask(wire: DoorWire) -> Callable[[str], WireAnswer]:
    """Return what sends a body."""
    return lambda body: wire.ask("POST", "/shapes", {"content-type": "application/json"}, body.encode())


@pytest.fixture
def read(calls: EchoCalls, ask: Callable[[str], WireAnswer]) -> Read:
    """Return what sends a body, and gives the request that is called, with the fields that were named."""

    def reading(body: str) -> tuple[Message, frozenset[str]]:
        calls.taken.clear()
        answer = ask(body)
        assert answer.status == 200, answer.body
        ((_, request, caller),) = calls.taken
        return request, caller.named

    return reading


@pytest.mark.parametrize("body", _TAKEN)
def test_it_is_read_as_protobuf_reads_it(read: Read, body: str) -> None:
    """A body makes the message that protobuf's text format makes."""
    expected = trial_message(SHAPES, _TAKEN[body])

    assert str(read(body)[0]) == str(expected)


@pytest.mark.parametrize(("json_name", "name"), _NAMES)
def test_a_field_is_read_by_both_of_its_names(read: Read, json_name: str, name: str) -> None:
    """The proto name does as well as the JSON name, however the two differ."""
    expected = trial_message(SHAPES, f"{name}: 1")

    for spelling in (json_name, name):
        assert read(json.dumps({spelling: 1})) == (expected, frozenset({name}))


def test_null_is_taken_for_every_field_and_leaves_it_unset(read: Read) -> None:
    """Null is no value but for the types that have a null of their own."""
    fields = trial_message(SHAPES, "").DESCRIPTOR.fields
    body = {field.json_name: None for field in fields if field.name not in {"a_value", "one_null"}}

    assert read(json.dumps(body)) == (trial_message(SHAPES, ""), frozenset())


@pytest.mark.parametrize("body", _REFUSED)
def test_it_is_refused_with_what_is_at_fault(ask: Callable[[str], WireAnswer], body: str) -> None:
    """What the suite has refused is refused here, with the path of the field."""
    answer = ask(body)

    assert answer.status == 400
    path = _REFUSED[body]
    if path is None:
        assert (answer.reason, answer.faults) == ("MALFORMED_REQUEST", {})
    else:
        reason = "UNKNOWN_FIELD" if path == "unknown" or path.startswith("[") else "INVALID_FIELD"
        assert (answer.reason, list(answer.faults)) == (reason, [path])


@pytest.mark.parametrize("body", _WRITTEN)
def test_it_is_written_in_the_one_form(ask: Callable[[str], WireAnswer], body: str) -> None:
    """However a value came, it is written in one form."""
    name, value = _WRITTEN[body]

    written = ask(body).json

    assert name in written
    assert written[name] == value


@pytest.mark.parametrize("text", _UNWRITABLE)
def test_what_has_no_json_is_not_written(calls: EchoCalls, ask: Callable[[str], WireAnswer], text: str) -> None:
    """A value that JSON cannot say is an error, not another value."""
    calls.answers = [trial_message(SHAPES, text)]
    try:
        answer = ask("{}")
    finally:
        calls.answers = ()

    assert (answer.status, answer.reason) == (500, "INTERNAL")


@pytest.mark.parametrize("bits", [0x7FFA123456789ABC, 0xFFFBCBA987654321])
def test_every_nan_is_written_as_the_one(bits: int) -> None:
    """The bits of a NaN do not matter."""
    trial_pool()
    tag = bytes([12 << 3 | 1])  # a_double, 64 bits

    written = json.loads(JsonWriter(SHAPES).write(tag + struct.pack("<Q", bits)))

    assert written["a_double"] == "NaN"
