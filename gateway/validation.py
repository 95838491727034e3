"""What a request must be: known fields only, values that every store can hold, and the rules of its proto."""

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, cast

import protovalidate
from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from mesh.errors import MAX_FAULTS, FieldFault, PolystreamError, Reason

# The first and the last second of each, as google/protobuf/timestamp.proto and duration.proto say.
_SECONDS: Final[Mapping[str, tuple[int, int]]] = {
    "google.protobuf.Timestamp": (-62_135_596_800, 253_402_300_799),
    "google.protobuf.Duration": (-315_576_000_000, 315_576_000_000),
}
_MAX_NANOS: Final = 999_999_999

_FEW: Final = 2  # attrgetter gives a tuple for two names and more

_Finder = Callable[[Any], FieldFault | None]


class RequestRules:
    """The checks of one request message, compiled once."""

    def __init__(self, descriptor: Descriptor, validator: protovalidate.Validator) -> None:
        self._nested = _nested_fields(descriptor, {})
        texts = [field for field in descriptor.fields if _holds_text(field)]
        plain = [field for field in texts if not field.is_repeated]
        if len(plain) < _FEW:
            plain = []
        self._plain_texts = tuple(map(_text_finder, plain))
        self._take_plain_texts = operator.attrgetter(*(field.name for field in plain)) if plain else None
        self._finders = (
            *(_text_finder(field) for field in texts if field not in plain),
            *(_time_finder(field) for field in descriptor.fields if _holds_time(field)),
        )
        self._choices = {field.name: _choices(field) for field in descriptor.fields if field.enum_type is not None}
        self._bounds = _size_bounds(descriptor)
        self._validator = validator

    def refuse_unknown(self, request: Message) -> None:
        """Refuse a request with a field that its type does not have. Raises PolystreamError UNKNOWN_FIELD."""
        if _has_unknown(request, self._nested):
            numbers = itertools.islice(_unknown_numbers(request, self._nested, ""), MAX_FAULTS)
            faults = [FieldFault(path, "there is no field with this number") for path in numbers]
            raise PolystreamError(Reason.UNKNOWN_FIELD, faults=faults)

    def faults(self, request: Message) -> list[FieldFault]:
        """Return what is wrong with the request's values, at most fifty faults; no value is quoted in them."""
        faults = [fault for find in self._finders if (fault := find(request)) is not None]
        # All of them in one look, which is what a good request costs.
        if self._take_plain_texts is not None and "\0" in "".join(self._take_plain_texts(request)):
            faults += [fault for find in self._plain_texts if (fault := find(request)) is not None]
        violations = self._validator.collect_violations(self._cut_short(request))
        if violations:
            faults += [self._fault(violation.proto) for violation in violations]
        return faults[:MAX_FAULTS]

    def _cut_short(self, request: Message) -> Message:
        """Return the request, or a copy with one element too many where there are more.

        The validator looks at every element, also of a list that is too long already: for some milliseconds of a
        request of a few bytes each, and nobody else is answered meanwhile.
        """
        short: Message | None = None
        for name, most in self._bounds:
            if len(getattr(request, name)) > most + 1:
                if short is None:
                    short = type(request)()
                    short.CopyFrom(request)
                held = getattr(short, name)
                for element in range(len(held) - 1, most, -1) if hasattr(held, "append") else list(held)[most + 1 :]:
                    del held[element]
        return request if short is None else short

    def _fault(self, violation: Any) -> FieldFault:
        """Turn protovalidate's violation into ours. Its message says the rule, never the value.

        A rule of a message as a whole begins its text with the path of what it is about: that is the fault's.
        """
        field = ".".join(_element(element) for element in violation.field.elements) if violation.field else ""
        if violation.rule_id == "required":
            return FieldFault(field, "must be set", violation.rule_id)
        if violation.rule_id.startswith("enum.") and field in self._choices:
            return FieldFault(field, self._choices[field], violation.rule_id)
        subject, _, rest = violation.message.partition(" ")
        if subject == field or subject.startswith(f"{field}."):
            return FieldFault(subject, rest, violation.rule_id)
        return FieldFault(field, violation.message, violation.rule_id)


def _element(element: Any) -> str:
    """Name one step of a path. A map's key is the caller's own text, and stays out."""
    subscript = element.subscript
    if subscript is not None and subscript.field == "index":
        return f"{element.field_name}[{subscript.value}]"
    return str(element.field_name)


def _choices(field: FieldDescriptor) -> str:
    values = cast(EnumDescriptor, field.enum_type).values
    return "must be one of " + ", ".join(value.name for value in values if value.number != 0)


_Nested = dict[str, tuple[bool, "_Nested"]]  # message fields by name: whether repeated, and theirs


def _nested_fields(descriptor: Descriptor, known: dict[str, _Nested]) -> _Nested:
    """Return the fields that hold messages. Maps are left out: an entry's unknown fields are not kept."""
    if descriptor.full_name not in known:
        nested = known[descriptor.full_name] = {}
        for field in descriptor.fields:
            if field.message_type is not None and not field.message_type.GetOptions().map_entry:
                nested[field.name] = (field.is_repeated, _nested_fields(field.message_type, known))
    return known[descriptor.full_name]


def _has_unknown(message: Message, nested: _Nested) -> bool:
    """Whether a message, or one in it, has a field that its type does not have."""
    if len(UnknownFieldSet(message)):
        return True
    for name, (repeated, below) in nested.items():
        if repeated:
            if any(_has_unknown(item, below) for item in getattr(message, name)):
                return True
        elif message.HasField(name) and _has_unknown(getattr(message, name), below):
            return True
    return False


def _unknown_numbers(message: Message, nested: _Nested, prefix: str) -> Iterator[str]:
    """Yield the path of each field that came by a number which its message does not have."""
    for unknown in cast(Iterable[Any], UnknownFieldSet(message)):
        yield f"{prefix}{unknown.field_number}"
    for name, (repeated, below) in nested.items():
        if repeated:
            for item in getattr(message, name):
                yield from _unknown_numbers(item, below, f"{prefix}{name}.")
        elif message.HasField(name):
            yield from _unknown_numbers(getattr(message, name), below, f"{prefix}{name}.")


def _size_bounds(descriptor: Descriptor) -> tuple[tuple[str, int], ...]:
    """Return the lists and maps whose rules say how many elements they have at most."""
    found = []
    for field in descriptor.fields:
        rules: Any = field.GetOptions().Extensions[validate_pb2.field]  # type: ignore[index] # upb's own class
        if field.is_repeated and (most := rules.repeated.max_items or rules.map.max_pairs):
            found.append((field.name, int(most)))
    return tuple(found)


def _holds_text(field: FieldDescriptor) -> bool:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return any(_holds_text(part) for part in field.message_type.fields)
    return field.type == FieldDescriptor.TYPE_STRING


def _text_finder(field: FieldDescriptor) -> _Finder:
    """Look for the one character that PostgreSQL's text cannot hold."""
    name = field.name
    fault = FieldFault(name, "must not contain the NUL character (U+0000)", "string.no_nul")

    def single(request: Any) -> FieldFault | None:
        return fault if "\0" in getattr(request, name) else None

    def several(request: Any) -> FieldFault | None:
        return fault if any("\0" in text for text in getattr(request, name)) else None

    def entries(request: Any) -> FieldFault | None:
        texts = (str(part) for entry in getattr(request, name).items() for part in entry)
        return fault if any("\0" in text for text in texts) else None

    if field.message_type is not None:
        return entries
    return several if field.is_repeated else single


def _holds_time(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.full_name in _SECONDS and not field.is_repeated


def _time_finder(field: FieldDescriptor) -> _Finder:
    """Look for times that protobuf allows on the wire and no calendar has."""
    name = field.name
    first, last = _SECONDS[cast(Descriptor, field.message_type).full_name]
    fault = FieldFault(name, "must be a valid time: years 1 to 9999, nanos 0 to 999999999", "time.valid")

    def find(request: Any) -> FieldFault | None:
        if not request.HasField(name):
            return None
        time = getattr(request, name)
        return None if first <= time.seconds <= last and abs(time.nanos) <= _MAX_NANOS else fault

    return find
