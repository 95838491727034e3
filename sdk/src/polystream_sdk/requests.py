"""Requests, made of what a program gives: every field is read before anything is sent."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import uuid4

from betterproto2 import Message

from polystream_sdk.errors import FieldViolation, InvalidFieldError
from polystream_sdk.kinds import Kind, Text, WrongValueError, as_float

RequestT = TypeVar("RequestT", bound=Message)
# In seconds: a `grpc-timeout` has at most eight digits (gRPC over HTTP/2, "Requests").
_TIMEOUT_MAX_S = 99_999_999
_TOKEN = re.compile(r"[!-~]+")


def make_request(message: type[RequestT], fields: Mapping[str, Kind], /, **values: object) -> RequestT:
    """Return a request of these values, each as its field's kind in `fields` reads it.

    Raises InvalidFieldError, which has every field at fault.
    """
    read: dict[str, Any] = {}
    faults: list[FieldViolation] = []
    for name, value in values.items():
        try:
            read[name] = fields[name].read(value)
        except WrongValueError as error:
            faults.append(FieldViolation(f"{name}{error.path}", error.remedy, ""))
    if faults:
        raise InvalidFieldError(tuple(faults))
    return message(**read)


def make_command(message: type[RequestT], fields: Mapping[str, Kind], /, **values: object) -> RequestT:
    """Return a command's request as `make_request` does, with a `request_id` that no other has where it is empty."""
    made = make_request(message, fields, **values)
    made.request_id = made.request_id or str(uuid4())  # type: ignore[attr-defined] # only commands that have one
    return made


def checked_timeout(name: str, value: object, *, may_be_none: bool = True) -> None:
    """Raise InvalidFieldError where `value`, the argument `name`, is no time to wait, in seconds."""
    if value is None and may_be_none:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= as_float(value) <= _TIMEOUT_MAX_S:  # type: ignore[arg-type]
        raise invalid(name, f"must be a number of seconds from 0 to {_TIMEOUT_MAX_S}")


def checked_text(name: str, value: object) -> None:
    """Raise InvalidFieldError where `value`, the argument `name`, is no text."""
    try:
        Text().read(value)
    except WrongValueError as error:
        raise invalid(name, error.remedy) from error


def checked_token(value: object) -> None:
    """Raise InvalidFieldError where `value` is no bearer token (RFC 6750, section 2.1)."""
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise invalid(
            "token", "must be a text of printable ASCII characters without spaces, or a function that gives one"
        )


def invalid(name: str, remedy: str) -> InvalidFieldError:
    """Return the error of one argument: `remedy` says what it must be."""
    return InvalidFieldError((FieldViolation(name, remedy, ""),))
