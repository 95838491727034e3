"""Page tokens: where a page ended, for this very list.

A token holds the last entry's sort key, so that a page begins right behind it however the list has changed in the
meantime, and a digest that binds it to the list: its method and its parameters.
"""

import hashlib
import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.message import Message

from mesh.errors import FieldFault, PolystreamError, Reason

Key = tuple[int | float | str, ...]
T = TypeVar("T")

DEFAULT_SIZE: Final = 50
MAX_SIZE: Final = 1000
_DIGEST_BYTES: Final = 8
_INT64: Final = range(-(2**63), 2**63)
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class QueryPage:
    """What a List request asks for."""

    size: int  # entries, at most
    after: Key | None  # sort key of the entry before the page; None for the first page
    list_id: bytes  # what the list is of, apart from the page

    def cut(self, entries: Sequence[T]) -> tuple[Sequence[T], bool]:
        """Return the page of `size + 1` entries read, and whether there are more."""
        return entries[: self.size], len(entries) > self.size

    def token(self, *key: float | str) -> str:
        """Return the token of the page behind the entry with this sort key."""
        body = json.dumps(key, separators=(",", ":")).encode()
        return urlsafe_b64encode(self.digest(body) + body).rstrip(b"=").decode()

    def digest(self, body: bytes) -> bytes:
        """Return what binds a sort key to this list."""
        return hashlib.blake2b(body, digest_size=_DIGEST_BYTES, key=self.list_id).digest()


def page_of(request: Any, *key_types: type[int] | type[float] | type[str]) -> QueryPage:
    """Return the page that a List request asks for. `key_types` are those of the list's sort key.

    Raises PolystreamError INVALID_PAGE_TOKEN for a token of another list, or none at all, and INVALID_FIELD for a
    negative size.
    """
    if request.page_size < 0:
        fault = FieldFault("page_size", "must be 0, for the usual size, or greater", "page_size.negative")
        raise PolystreamError(Reason.INVALID_FIELD, faults=[fault])
    page = QueryPage(min(request.page_size or DEFAULT_SIZE, MAX_SIZE), None, _list_id(request))
    if not request.page_token:
        return page
    return QueryPage(page.size, _key(page, request.page_token, key_types), page.list_id)


def foreign_token() -> PolystreamError:
    """Return the error of a token that is none of the list's."""
    fault = FieldFault("page_token", "is not one of this list; start again without it", "page_token.foreign")
    return PolystreamError(Reason.INVALID_PAGE_TOKEN, faults=[fault])


def _key(page: QueryPage, token: str, key_types: Sequence[type]) -> Key:
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if urlsafe_b64encode(raw).rstrip(b"=").decode() != token:  # the decoder passes over what is no base64
            raise foreign_token()
        digest, body = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        # What the digest does not cover was not written here, and is not read.
        key = tuple(json.loads(body)) if digest == page.digest(body) else ()
    except (ValueError, TypeError, RecursionError) as error:
        raise foreign_token() from error
    if [type(value) for value in key] != list(key_types):
        raise foreign_token()
    if any(_is_unstorable(value) for value in key):
        raise foreign_token()
    return key


def _is_unstorable(value: float | str) -> bool:
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is not None
    return not math.isfinite(value) if isinstance(value, float) else value not in _INT64


def _list_id(request: Message) -> bytes:
    """Return what tells one list from another: the request without what says which page."""
    parameters = type(request)()
    parameters.CopyFrom(request)
    parameters.ClearField("page_size")
    parameters.ClearField("page_token")
    name = str(request.DESCRIPTOR.full_name)
    return hashlib.blake2b(
        parameters.SerializeToString(deterministic=True), digest_size=32, person=name[-16:].encode()
    ).digest()
