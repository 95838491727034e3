"""From protobuf messages to the schemas of an OpenAPI 3.1 document, as protobuf's JSON mapping writes them.

Field names are the protos' own (snake_case). What `buf.validate` demands is said in the schema's own terms
where it has them: lengths, patterns, bounds, formats, the enum values that are accepted.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from contracts.descriptors import DEMO_OPTION, Descriptors
from contracts.number_pattern import whole_numbers
from contracts.openapi_money import MONEY_RULE, reais
from contracts.openapi_rules import NO_NUL, asks_for_any, constraints, field_rules, is_required, refused_values
from contracts.plugin import PluginError

Schema = dict[str, Any]

_F = FieldDescriptor
_INT64_TYPES = (_F.TYPE_INT64, _F.TYPE_SINT64, _F.TYPE_SFIXED64, _F.TYPE_UINT64, _F.TYPE_FIXED64)
_SCALARS: Mapping[int, Schema] = {
    _F.TYPE_INT32: {"type": "integer", "format": "int32"},
    _F.TYPE_SINT32: {"type": "integer", "format": "int32"},
    _F.TYPE_SFIXED32: {"type": "integer", "format": "int32"},
    _F.TYPE_UINT32: {"type": "integer", "format": "int64", "minimum": 0},
    _F.TYPE_FIXED32: {"type": "integer", "format": "int64", "minimum": 0},
    _F.TYPE_FLOAT: {"type": "number", "format": "float"},
    _F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BYTES: {"type": "string", "format": "byte"},
}
# Messages whose JSON is not an object of their fields.
_WELL_KNOWN: Mapping[str, Schema] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+([.][0-9]{1,9})?s$", "example": "1.5s"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object", "additionalProperties": True},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array", "items": {}},
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "`type.googleapis.com/` and the message's name."}},
        "additionalProperties": True,
    },
}


_NOT_NULL: Schema = {"not": {"type": "null"}}


class ValueLocation(Enum):
    """Where a value stands, which decides how a 64-bit integer is written."""

    PARAMETER = "parameter"  # digits in a path or a query
    REQUEST = "request"  # a number or a string, both are read
    RESPONSE = "response"  # always a string


class Schemas:
    """The document's schemas. Those of requests have to be asked for before those of responses."""

    def __init__(self, descriptors: Descriptors) -> None:
        self._descriptors = descriptors
        self._owners: dict[str, str] = {}  # component name: full name of its message
        self.components: dict[str, Schema] = {}

    def request_body(
        self, message: Descriptor, without: frozenset[str], suffix: str = "Body", *, may_be_silent: bool = False
    ) -> Schema:
        """Return the schema of a request's JSON body, less the fields that the path or the query gives.

        `suffix` is that of its name then. A body that `may_be_silent` is either whole or says nothing.
        """
        left_out = {path.partition(".")[0] for path in without}
        name = f"{self._name(message).removesuffix('Request')}{suffix}" if without else self._name(message)
        if without:
            self._set(name, self._object(message, ValueLocation.REQUEST, left_out), message)
        else:
            self._component(message, ValueLocation.REQUEST)
        if not may_be_silent or not self._says_anything(message, without):
            return _ref(name)
        self._set(f"{name}.Silent", self._silent(message, left_out), message)
        return {"anyOf": [_ref(name), _ref(f"{name}.Silent")]}

    def asks_for_body(self, message: Descriptor, without: frozenset[str], *, may_be_silent: bool) -> bool:
        """Whether a command has to have a body, with what neither the path or the query gives nor demo data fills."""
        if not may_be_silent:
            return self._says_anything(message, without)
        return any(self._asks_for(field) for field in message.fields if field.name not in without and _is_id(field))

    def _set(self, name: str, schema: Schema, message: Descriptor) -> None:
        if self.components.setdefault(name, schema) != schema:
            raise PluginError(f"{message.full_name}: its bindings take different fields from the path")

    def _says_anything(self, message: Descriptor, without: frozenset[str]) -> bool:
        """Whether a body has a field that has to be given, or one of which one has to be."""
        required = (is_required(f, self._rules(f)) for f in message.fields if f.name not in without)
        return any(required) or asks_for_any(self._descriptors, message)

    def _silent(self, message: Descriptor, left_out: set[str]) -> Schema:
        """Return the schema of a request that says nothing: it may hold identifiers."""
        fields = [field for field in message.fields if field.name not in left_out]
        properties = {
            field.name: self._property(field, ValueLocation.REQUEST, required=self._asks_for(field))
            if _is_id(field)
            else {"type": "null"}
            for field in fields
        }
        told = "Says nothing but who it is about, if that: filled where demo data is on, refused where it is off."
        schema: Schema = {"type": "object", "description": told, "properties": properties}
        required = [f.name for f in fields if _is_id(f) and self._asks_for(f)]
        return schema | {"additionalProperties": False} | ({"required": required} if required else {})

    def _asks_for(self, field: FieldDescriptor) -> bool:
        return is_required(field, self._rules(field)) and not self._descriptors.option(field, DEMO_OPTION)

    def response(self, message: Descriptor) -> Schema:
        """Return the schema of an answer."""
        return self._value_of(message, ValueLocation.RESPONSE)

    def parameter(self, field: FieldDescriptor) -> Schema:
        """Return the schema of a path or query parameter, without its description."""
        return self._field(field, ValueLocation.PARAMETER)

    def _component(self, message: Descriptor, location: ValueLocation) -> Schema:
        name = self._name(message)
        if self._owners.setdefault(name, message.full_name) != message.full_name:
            raise PluginError(f"{message.full_name} and {self._owners[name]} have the same name in OpenAPI; rename one")
        if name not in self.components:
            self.components[name] = {}  # there before its fields: a message may hold itself
            self.components[name] = self._object(message, location, set())
        return _ref(name)

    def _name(self, message: Descriptor) -> str:
        return str(message.full_name.removeprefix(message.file.package + "."))

    def _object(self, message: Descriptor, location: ValueLocation, left_out: set[str]) -> Schema:
        fields = [field for field in message.fields if field.name not in left_out]
        schema: Schema = {"type": "object"}
        if doc := self._descriptors.comment(message.full_name):
            schema["description"] = doc
        schema["properties"] = {field.name: self._property(field, location) for field in fields}
        if location is ValueLocation.REQUEST:
            schema["additionalProperties"] = False
        required = [f.name for f in fields if location is ValueLocation.REQUEST and is_required(f, self._rules(f))]
        if location is ValueLocation.REQUEST and asks_for_any(self._descriptors, message):
            given = [field.name for field in fields if field.has_presence]
            schema["anyOf"] = [{"required": [name], "properties": {name: _NOT_NULL}} for name in given]
        return schema | ({"required": required} if required else {})

    def _property(self, field: FieldDescriptor, location: ValueLocation, *, required: bool | None = None) -> Schema:
        schema = self._field(field, location)
        if required is None:
            required = is_required(field, self._rules(field))
        if location is ValueLocation.REQUEST and not required:
            schema = _or_null(schema)  # null is the same as nothing
        doc = self.describe(field)
        return schema | {"description": doc} if doc else schema

    def describe(self, field: FieldDescriptor) -> str:
        """Return a field's comment, and its enum's values with theirs."""
        doc = self._descriptors.comment(field.full_name)
        if field.enum_type is None:
            return doc
        enum = field.enum_type.full_name
        values = [f"- `{name}`: {self._descriptors.comment(f'{enum}.{name}')}" for name in self._values(field)]
        return f"{doc}\n\n{chr(10).join(values)}".strip()

    def _values(self, field: FieldDescriptor) -> list[str]:
        """Return the names that an enum field accepts."""
        refused = refused_values(self._rules(field))
        return [v.name for v in field.enum_type.values if v.number not in refused] if field.enum_type else []

    def _rules(self, field: FieldDescriptor) -> Any:
        return field_rules(self._descriptors, field)

    def _field(self, field: FieldDescriptor, location: ValueLocation) -> Schema:
        rules = self._rules(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            values = self._value(field.message_type.fields_by_name["value"], location, rules and rules.map.values)
            return {"type": "object", "additionalProperties": values} | constraints(rules)
        if field.is_repeated:
            items = self._value(field, location, rules and rules.repeated.items)
            return {"type": "array", "items": items} | constraints(rules)
        return self._value(field, location, rules)

    def _value(self, field: FieldDescriptor, location: ValueLocation, rules: Any) -> Schema:
        if rules is not None and MONEY_RULE in {rule.id for rule in rules.cel}:
            self.components["Reais"] = reais(self._int64(location, {"minimum": 0, "maximum": 1_000_000}))
            return _ref("Reais")
        if field.message_type is not None:
            return self._value_of(field.message_type, location) | constraints(rules)
        if field.enum_type is not None:
            return {"type": "string", "enum": self._values(field)}
        if field.type in _INT64_TYPES:
            return self._int64(location, constraints(rules))
        if field.type == _F.TYPE_STRING and location is not ValueLocation.RESPONSE:
            return _text(field.name, constraints(rules))
        return _SCALARS[field.type] | constraints(rules)

    def _value_of(self, message: Descriptor, location: ValueLocation) -> Schema:
        if message.full_name in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message.full_name])
        if message.file.name == "google/protobuf/wrappers.proto":
            return _or_null(self._value(message.fields_by_name["value"], location, None))
        return self._component(message, location)

    def _int64(self, location: ValueLocation, bounds: Schema) -> Schema:
        number = {"type": "integer", "format": "int64"} | bounds
        if location is ValueLocation.PARAMETER:
            return number
        if location is ValueLocation.RESPONSE:
            return {"type": "string", "format": "int64", "pattern": "^-?[0-9]{1,19}$"}
        least, most = bounds.get("minimum", -(2**63)), bounds.get("maximum", 2**63 - 1)
        name = f"WholeNumber.{least}.{most}"
        told = f"A whole number from {least} to {most}, as a number or as text."
        text = {"type": "string", "format": "int64", "pattern": whole_numbers(least, most)}
        self.components[name] = {"description": told, "anyOf": [number, text]}
        return _ref(name)


# What no pattern can tell: a token is one that a list has given, and the others are languages of their own.
_FORMATS: Final = {"page_token": "page-token", "filter": "aip-160-filter", "order_by": "aip-132-order-by"}


def _is_id(field: FieldDescriptor) -> bool:
    return bool(field.name.endswith("_id"))


def _text(name: str, rules: Schema) -> Schema:
    """Return the schema of a text that is sent."""
    if name in _FORMATS:
        rules = {"format": _FORMATS[name]} | rules
    free = {} if {"pattern", "format"} & rules.keys() else {"pattern": NO_NUL}
    return {"type": "string"} | rules | free


def _or_null(schema: Schema) -> Schema:
    kind = schema.get("type")
    if kind is None:
        return {"anyOf": [*(schema["anyOf"] if set(schema) == {"anyOf"} else [schema]), {"type": "null"}]}
    return schema | {"type": [kind, "null"]} | ({"enum": [*schema["enum"], None]} if "enum" in schema else {})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
