"""The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), which is a command's `request_id`."""

import re
from typing import Final

from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from polystream.options.v1 import options_pb2

from mesh.errors import FieldFault, PolystreamError, Reason

REQUEST_ID: Final = "request_id"
HEADER: Final = "Idempotency-Key"

_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])+)"')  # a string of RFC 8941, section 3.3.3, not empty
_BARE: Final = re.compile(r"[!#-~][ -~]*")  # as many clients send it: ASCII that does not begin with a quote
_ESCAPED: Final = re.compile(r"\\(.)")


def takes_key(method: MethodDescriptor) -> bool | None:
    """Tell whether an RPC takes the header: False where it must be refused, None where it means nothing.

    A query may be repeated in any case; a command without a `request_id` may not, whatever the header promises.
    """
    if not method.GetOptions().HasExtension(options_pb2.command):  # type: ignore[arg-type] # stub
        return None
    field = method.input_type.fields_by_name.get(REQUEST_ID)
    return field is not None and field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated


def read_key(header: str) -> str:
    """Return the key in a header, which is quoted or not. Raises PolystreamError INVALID_FIELD."""
    header = header.strip(" \t")
    if quoted := _QUOTED.fullmatch(header):
        return _ESCAPED.sub(r"\1", quoted[1])
    if _BARE.fullmatch(header):
        return header
    raise refused_key("must be a text of printable ASCII characters, in double quotes or without any")


def refused_key(why: str) -> PolystreamError:
    """Return the error of a request with a header that is not taken."""
    return PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault(REQUEST_ID, f"the header {HEADER} {why}")])
