"""What comes with a request to the monitor's HTTP port: its body, and the form that it may be."""

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from mesh.errors import PolystreamError, Reason

_MAX_BYTES: Final = 64 * 1024
_MAX_FIELDS: Final = 100
_FORM_TYPE: Final = "application/x-www-form-urlencoded"


async def body_of(request: Request) -> bytes:
    """Return the body. Raises PolystreamError REQUEST_TOO_LARGE, while it still comes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BYTES:
            raise PolystreamError(Reason.REQUEST_TOO_LARGE)
    return bytes(body)


async def said_in(request: Request) -> dict[str, str]:
    """Return what the form says. Raises PolystreamError for what is no form, or too large a one."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        raise PolystreamError(Reason.UNSUPPORTED_CONTENT_TYPE)
    body = await body_of(request)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError as error:
        raise PolystreamError(Reason.MALFORMED_REQUEST) from error
