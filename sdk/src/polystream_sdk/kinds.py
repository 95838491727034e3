"""What the fields of a request take: Python's own values, and the forms of ProtoJSON that REST takes too.

A kind reads one value, as it is sent, or raises WrongValueError. So nothing wraps, is cut or is guessed at: a number
that its field cannot hold, a text where a list belongs or a time without a zone never leaves the program.
https://protobuf.dev/programming-guides/json has the forms.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf, isfinite
from typing import Any, Protocol

from betterproto2 import Enum, Message

_FLOAT_MAX = 3.4028234663852886e38  # the largest of IEEE 754's binary32
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
# RFC 3339, section 5.6, T and Z as in ProtoJSON; what is finer than a microsecond is cut, as the platform does.
_TIME = re.compile(
    r"(?P<second>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.(?P<fraction>[0-9]{1,9}))?"
    r"(?P<zone>Z|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION = re.compile(r"(?P<sign>-?)(?P<seconds>[0-9]{1,12})(\.(?P<fraction>[0-9]{1,9}))?s")
_DURATION_MAX = timedelta(seconds=315_576_000_000)  # google/protobuf/duration.proto
_MICROSECOND_DIGITS = 6


class WrongValueError(Exception):
    """A value that its field does not take: `path` leads from the field to it, and is empty for the field itself."""

    def __init__(self, remedy: str, path: str = "") -> None:
        super().__init__(remedy)
        self.remedy = remedy
        self.path = path


class Kind(Protocol):
    """What one field takes."""

    def read(self, value: object) -> Any:
        """Return the value as it is sent. Raises WrongValueError."""
        ...


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number, also as decimal digits in a text."""

    bits: int
    signed: bool = True

    def read(self, value: object) -> int:
        """Return the number. Raises WrongValueError."""
        low = -(1 << (self.bits - 1)) if self.signed else 0
        high = (1 << (self.bits - self.signed)) - 1
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(_bare_text(value))
        if isinstance(value, int) and not isinstance(value, bool | Enum):
            number = int.__int__(value)  # what it holds, whatever a class made of int says of itself
            if low <= number <= high:
                return number
        raise WrongValueError(f"must be a whole number from {low} to {high}")


@dataclass(frozen=True, slots=True)
class Float:
    """A finite number, also as a text."""

    bits: int = 64

    def read(self, value: object) -> float:
        """Return the number. Raises WrongValueError."""
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = float(_bare_text(value))
        if isinstance(value, int | float) and not isinstance(value, bool | Enum):
            number = as_float(value)
            if isfinite(number) and (self.bits == 64 or abs(number) <= _FLOAT_MAX):  # bits of a double
                return number
        raise WrongValueError(f"must be a finite number that {self.bits} bits can hold")


@dataclass(frozen=True, slots=True)
class Flag:
    """True or False."""

    def read(self, value: object) -> bool:
        """Return it. Raises WrongValueError."""
        if not isinstance(value, bool):
            raise WrongValueError("must be True or False")
        return value


@dataclass(frozen=True, slots=True)
class Text:
    """A text."""

    def read(self, value: object) -> str:
        """Return it. Raises WrongValueError."""
        if not isinstance(value, str):
            raise WrongValueError("must be a text (str)")
        text = _bare_text(value)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise WrongValueError("must be a text that UTF-8 has: without lone surrogates") from error
        return text


@dataclass(frozen=True, slots=True)
class Binary:
    """Bytes."""

    def read(self, value: object) -> bytes:
        """Return them. Raises WrongValueError."""
        if not isinstance(value, bytes | bytearray | memoryview):
            raise WrongValueError("must be bytes")
        return bytes(value)


@dataclass(frozen=True, slots=True)
class Choice:
    """A member of an enum, also by its name or its number."""

    enum: type[Enum]

    def read(self, value: object) -> Enum:
        """Return the member. Raises WrongValueError."""
        if isinstance(value, self.enum):  # also one that this version does not know: an answer may have had it
            return value
        if isinstance(value, str) and (name := _bare_text(value)) in self.enum.__members__:
            return self.enum[name]
        if type(value) is int and value in {int(member) for member in self.enum}:
            return self.enum(value)
        # The member for 0 stands for no choice, and is the default.
        names = ", ".join(name for name, member in self.enum.__members__.items() if int(member) != 0)
        raise WrongValueError(f"must be a {self.enum.__name__}, or the name of one: {names}")


@dataclass(frozen=True, slots=True)
class Time:
    """A moment: a datetime with a time zone, or a text as RFC 3339 has it."""

    def read(self, value: object) -> datetime:
        """Return the moment, in UTC. Raises WrongValueError."""
        moment = _parsed_time(value) if isinstance(value, str) else value
        if isinstance(moment, datetime):
            # Before year 1 or after 9999 there; and a time zone of the program's own may fail in these ways.
            with suppress(OverflowError, NotImplementedError, TypeError, ValueError):
                if moment.utcoffset() is not None:
                    return moment.astimezone(UTC)
        raise WrongValueError("must be a datetime with a time zone, such as datetime.now(UTC), or a text of RFC 3339")


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: a timedelta, or seconds in a text such as `1.5s`."""

    def read(self, value: object) -> timedelta:
        """Return the length. Raises WrongValueError."""
        length = _parsed_duration(value) if isinstance(value, str) else value
        if not isinstance(length, timedelta) or not -_DURATION_MAX <= length <= _DURATION_MAX:
            raise WrongValueError('must be a timedelta of at most 10,000 years, or a text such as "1.5s"')
        return length


@dataclass(frozen=True, slots=True)
class Group:
    """A message, also as a mapping of its fields, in either spelling that REST takes."""

    message: type[Message]
    fields: Mapping[str, Kind]

    def read(self, value: object) -> Message:
        """Return a message of its own, with each field as it is sent. Raises WrongValueError."""
        if isinstance(value, self.message):
            given: Mapping[Any, object] = {name: getattr(value, name) for name in self.fields}
        elif isinstance(value, Mapping):
            given = {name: part for name, part in value.items() if part is not None}
        else:
            raise WrongValueError(f"must be a {self.message.__name__}, or a mapping of its fields")
        names = {_json_name(name): name for name in self.fields} | {name: name for name in self.fields}
        read: dict[str, Any] = {}
        for key, part in given.items():
            name = names.get(key)
            if name is None:
                raise WrongValueError(f"has a field that does not exist; {_listed(self.fields)}")
            if name in read:
                raise WrongValueError("must be given once, in one of its two spellings", f".{name}")
            read[name] = _read_part(self.fields[name], part, f".{name}")
        return self.message(**read)


@dataclass(frozen=True, slots=True)
class Maybe:
    """What may be None: not set."""

    kind: Kind

    def read(self, value: object) -> Any:
        """Return None, or what the kind reads. Raises WrongValueError."""
        return None if value is None else self.kind.read(value)


@dataclass(frozen=True, slots=True)
class Several:
    """A list, or any other sequence but a text."""

    kind: Kind

    def read(self, value: object) -> list[Any]:
        """Return the list. Raises WrongValueError."""
        if not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray | memoryview):
            raise WrongValueError("must be a list")
        return [_read_part(self.kind, item, f"[{index}]") for index, item in enumerate(value)]


@dataclass(frozen=True, slots=True)
class Entries:
    """A mapping. Its keys are the caller's own, and no error quotes one."""

    key: Kind
    value: Kind

    def read(self, value: object) -> dict[Any, Any]:
        """Return a mapping of its own. Raises WrongValueError."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise WrongValueError("must be a mapping (dict)")
        return {_read_part(self.key, k, " (a key)"): _read_part(self.value, v, " (a value)") for k, v in value.items()}


def as_float(number: float) -> float:
    """Return what an int or a float holds: infinite where no float is as large."""
    try:
        return float.__float__(number) if isinstance(number, float) else float(int.__int__(number))
    except OverflowError:
        return inf


def _bare_text(text: str) -> str:
    """Return what a text holds: a class made of str, such as an enum, may show itself as another one."""
    return str.__str__(text)


def _read_part(kind: Kind, value: object, step: str) -> Any:
    try:
        return kind.read(value)
    except WrongValueError as error:
        raise WrongValueError(error.remedy, f"{step}{error.path}") from error


def _json_name(name: str) -> str:
    """Return a field's name as ProtoJSON has it: `currency_code` is `currencyCode` there."""
    return re.sub("_(.)", lambda initial: initial[1].upper(), name)


def _listed(names: Iterable[str]) -> str:
    return f"there are {', '.join(names)}"


def _parsed_time(text: str) -> datetime | None:
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    zone = found["zone"].replace("Z", "+00:00")
    try:
        return datetime.fromisoformat(f"{found['second']}.{_micros(found['fraction'])}{zone}")
    except ValueError:  # such as 30 February
        return None


def _parsed_duration(text: str) -> timedelta | None:
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    length = timedelta(seconds=int(found["seconds"]), microseconds=int(_micros(found["fraction"])))
    return -length if found["sign"] else length


def _micros(fraction: str | None) -> str:
    return (fraction or "")[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
