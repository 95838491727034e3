"""What `buf.validate` demands of a field, in the terms of OpenAPI schemas."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from contracts.descriptors import Descriptors
from contracts.number_pattern import whole_numbers

_FIELD_OPTION, _MESSAGE_OPTION = "buf.validate.field", "buf.validate.message"
_NOTHING = ".nothing"  # ends the identifier of a rule that asks for any of a message's optional fields
_INTEGER_KINDS = (
    "int32",
    "int64",
    "uint32",
    "uint64",
    "sint32",
    "sint64",
    "fixed32",
    "fixed64",
    "sfixed32",
    "sfixed64",
)
_FLOAT_KINDS = ("float", "double")
NO_NUL: Final = r"^[^\u0000]*$"  # PostgreSQL's text cannot hold that character
# Rules in CEL, by their identifiers, that a schema can say too.
_CEL_TWINS: Final[Mapping[str, Mapping[str, Any]]] = {"cpf.check_digits": {"format": "cpf"}}


def field_rules(descriptors: Descriptors, field: FieldDescriptor) -> Any | None:
    """Return a field's `buf.validate.FieldRules`; None where it has none."""
    return descriptors.option(field, _FIELD_OPTION)


def asks_for_any(descriptors: Descriptors, message: Descriptor) -> bool:
    """Whether a message has to set one of its optional fields, by a rule of its own such as `update_user.nothing`."""
    rules = descriptors.option(message, _MESSAGE_OPTION)
    return rules is not None and any(rule.id.endswith(_NOTHING) for rule in rules.cel)


def constraints(rules: Any | None) -> dict[str, Any]:
    """Return the schema's keywords that say the same as the rules; what has no keyword is left out."""
    if rules is None:
        return {}
    twins = {keyword: value for rule in rules.cel for keyword, value in _CEL_TWINS.get(rule.id, {}).items()}
    return twins | _standard(rules, rules.WhichOneof("type"))


def _standard(rules: Any, kind: str | None) -> dict[str, Any]:
    if kind is None:
        return {}
    if kind in _INTEGER_KINDS:
        return _bounds(getattr(rules, kind), step=1)
    if kind in _FLOAT_KINDS:
        return _bounds(getattr(rules, kind), step=0)
    translate = _TRANSLATIONS.get(kind)
    return translate(getattr(rules, kind)) if translate is not None else {}


def refused_values(rules: Any | None) -> frozenset[int]:
    """Return the enum numbers that the rules do not accept."""
    if rules is None or rules.WhichOneof("type") != "enum":
        return frozenset()
    return frozenset(rules.enum.not_in)


def is_required(field: FieldDescriptor, rules: Any | None) -> bool:
    """Tell whether a message without the field is refused."""
    if rules is None:
        return False
    if rules.required:
        return True
    if field.has_presence or field.is_repeated:
        return False
    if field.enum_type is not None:
        return 0 in refused_values(rules)
    schema = constraints(rules)
    if field.type == FieldDescriptor.TYPE_STRING:
        pattern = schema.get("pattern")
        no_match = pattern is not None and re.search(pattern, "") is None
        return bool(schema.get("minLength")) or "format" in schema or no_match
    return bool(schema.get("minimum", 0) > 0)


def _bounds(rules: Any, *, step: int) -> dict[str, Any]:
    """Return minimum and maximum. `step` is what makes an open bound a closed one: 1 between integers."""
    found: dict[str, Any] = {}
    if rules.HasField("gte"):
        found["minimum"] = rules.gte
    elif rules.HasField("gt"):
        found |= {"minimum": rules.gt + 1} if step else {"exclusiveMinimum": rules.gt}
    if rules.HasField("lte"):
        found["maximum"] = rules.lte
    elif rules.HasField("lt"):
        found |= {"maximum": rules.lt - 1} if step else {"exclusiveMaximum": rules.lt}
    return found


def _string(rules: Any) -> dict[str, Any]:
    names = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"}
    found = {keyword: getattr(rules, name) for name, keyword in names.items() if rules.HasField(name)}
    known_format = rules.WhichOneof("well_known")
    return found | ({"format": known_format} if known_format in {"email", "uuid", "uri", "hostname"} else {})


def _repeated(rules: Any) -> dict[str, Any]:
    names = {"min_items": "minItems", "max_items": "maxItems"}
    found = {keyword: getattr(rules, name) for name, keyword in names.items() if rules.HasField(name)}
    return found | ({"uniqueItems": True} if rules.unique else {})


def _map(rules: Any) -> dict[str, Any]:
    names = {"min_pairs": "minProperties", "max_pairs": "maxProperties"}
    found = {keyword: getattr(rules, name) for name, keyword in names.items() if rules.HasField(name)}
    keys = {"pattern": NO_NUL} | constraints(rules.keys) if rules.HasField("keys") else {}
    return found | ({"propertyNames": keys} if keys else {})


def _timestamp(rules: Any) -> dict[str, Any]:
    """Return a pattern of the year, where the rules end at years' ends; a schema has no bounds for such text."""
    least, most = rules.gte.ToDatetime(), rules.lt.ToDatetime()
    years_only = (least.month, least.day, most.month, most.day) == (1, 1, 1, 1)
    if not (rules.HasField("gte") and rules.HasField("lt") and years_only):
        return {}
    return {"pattern": f"{whole_numbers(least.year, most.year - 1).removesuffix('$')}-"}


def _duration(rules: Any) -> dict[str, Any]:
    """Return a pattern, where both ends are whole seconds from 0 on; a schema has no bounds for such text."""
    least, most = rules.gte, rules.lte
    if not (rules.HasField("gte") and rules.HasField("lte")) or least.nanos or most.nanos or least.seconds < 0:
        return {}
    below = whole_numbers(least.seconds, most.seconds - 1).strip("^$")
    return {"pattern": f"^({below}([.][0-9]{{1,9}})?|{most.seconds}([.]0{{1,9}})?)s$"}


_TRANSLATIONS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "string": _string,
    "repeated": _repeated,
    "map": _map,
    "duration": _duration,
    "timestamp": _timestamp,
}
