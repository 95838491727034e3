"""What `buf.validate` demands, in words."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from contracts.descriptors import Descriptors

_BOUNDS: Final = {"gt": "more than", "gte": "at least", "lt": "less than", "lte": "at most"}
_FORMATS: Final = {
    "email": "an e-mail address",
    "uuid": "a UUID",
    "uri": "a URI",
    "hostname": "a host name",
}


def field_rules_in_words(descriptors: Descriptors, field: FieldDescriptor) -> list[str]:
    """Return each rule of a field as a short phrase, in Markdown. Raises ValueError for a rule that has no words."""
    rules = descriptors.option(field, "buf.validate.field")
    return [] if rules is None else _phrases(rules, field.enum_type)


def message_rules_in_words(descriptors: Descriptors, message: Any) -> list[str]:
    """Return the rules of a message as a whole: what they say when they are broken."""
    rules = descriptors.option(message, "buf.validate.message")
    return [] if rules is None else [f"{rule.message} (`{rule.id}`)" for rule in rules.cel]


def _phrases(rules: Any, enum: EnumDescriptor | None) -> list[str]:
    found = ["required"] if rules.required else []
    kind = rules.WhichOneof("type")
    if kind is not None:
        found += _typed(kind, getattr(rules, kind), enum)
    found += [f"{rule.message} (`{rule.id}`)" for rule in rules.cel]
    return found


def _typed(kind: str, rules: Any, enum: EnumDescriptor | None) -> list[str]:
    phrases: list[str] = []
    # A lower bound before its upper one.
    for field, value in sorted(rules.ListFields(), key=lambda rule: rule[0].name.startswith("lt")):
        name = field.name
        special = _SPECIAL.get((kind, name)) or _SPECIAL.get(("", name))
        if name in _BOUNDS:
            phrases.append(f"{_BOUNDS[name]} {_value(value)}")
        elif name in _FORMATS:
            phrases += [_FORMATS[name]] if value else []
        elif special is not None:
            phrases += special(value, enum)
        else:
            raise ValueError(f"there are no words for the rule {kind}.{name}: add them")
    return phrases


def _value(value: Any) -> str:
    if isinstance(value, Timestamp):
        return value.ToDatetime().date().isoformat()
    if isinstance(value, Duration):
        return f"{value.ToTimedelta() / timedelta(seconds=1):g} s"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _below(what: str) -> Callable[[Any, EnumDescriptor | None], list[str]]:
    """Return how to tell the rules of a list's items or of a map's keys or values."""

    def tell(rules: Any, enum: EnumDescriptor | None) -> list[str]:
        return [f"{what}: {', '.join(_phrases(rules, enum))}"]

    return tell


def _not_in(values: Any, enum: EnumDescriptor | None) -> list[str]:
    names = [enum.values_by_number[number].name if enum else str(number) for number in values]
    return [f"not {' or '.join(f'`{name}`' for name in names)}"]


_SPECIAL: Final[Mapping[tuple[str, str], Callable[[Any, EnumDescriptor | None], list[str]]]] = {
    ("string", "min_len"): lambda value, _: [f"at least {value} character{'s' if value > 1 else ''}"],
    ("string", "max_len"): lambda value, _: [f"at most {value} characters"],
    ("string", "pattern"): lambda value, _: [f"matches `{value}`"],
    ("repeated", "min_items"): lambda value, _: [f"at least {value} items"],
    ("repeated", "max_items"): lambda value, _: [f"at most {value} items"],
    ("repeated", "unique"): lambda value, _: ["no item twice"] if value else [],
    ("repeated", "items"): _below("each item"),
    ("map", "min_pairs"): lambda value, _: [f"at least {value} entries"],
    ("map", "max_pairs"): lambda value, _: [f"at most {value} entries"],
    ("map", "keys"): _below("each key"),
    ("map", "values"): _below("each value"),
    ("enum", "defined_only"): lambda value, _: ["a value that is listed"] if value else [],
    ("", "not_in"): _not_in,
    ("", "finite"): lambda value, _: ["finite"] if value else [],
}
