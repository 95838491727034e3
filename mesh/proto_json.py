"""Messages as JSON, and back, with the fields' own names.

JSON shows what is inside a `google.protobuf.Any`, for which the type in it has to be known to the process. So this is
the one place that knows what may be there: the details of errors, and the API's messages, which are the results.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any as Json
from typing import TypeVar

import google.rpc.error_details_pb2  # noqa: F401 # makes the details of errors known
import polystream.v1
from google.protobuf import json_format
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def to_dict(message: Message) -> dict[str, Json]:
    """Return a message in the form that `json.dumps` takes."""
    _load_results()
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def to_json(message: Message) -> str:
    """Return a message as JSON text, on several lines."""
    _load_results()
    return json_format.MessageToJson(message, preserving_proto_field_name=True)


def from_dict(fields: Mapping[str, Json], message: M) -> M:
    """Fill a message with what `to_dict` returned, and return it. Raises ValueError where it is no such message."""
    _load_results()
    try:
        return json_format.ParseDict(dict(fields), message)
    except json_format.ParseError as error:
        raise ValueError(f"is no {message.DESCRIPTOR.full_name}") from error


@cache
def _load_results() -> None:
    """Import every message of the API. Once: what is imported stays known."""
    for module in pkgutil.iter_modules(polystream.v1.__path__):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"polystream.v1.{module.name}")
