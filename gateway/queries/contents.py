"""Queries about cached contents: hashes `conteudo:{id}`, indexed by the sorted set `conteudos`."""

import json
from typing import Any, Final, cast

from polystream.v1.contents_pb2 import Content, GetContentRequest, ListContentsRequest, ListContentsResponse
from redis.asyncio import Redis

from gateway.queries.hashes import read_hashes, read_index, text_hash, timestamp
from gateway.queries.stores import Stores
from mesh.errors import Reason, not_found
from mesh.pages import page_of
from mesh.store_names.redis import CACHE_HITS, CACHE_MISSES, CONTENT_PREFIX, CONTENTS, ContentHash, content_key
from mesh.stored_enums import KINDS

_MAX_ROUNDS: Final = 4  # of reading on where contents have expired: a page may be short, but not late
_READ_AND_COUNT: Final = """
local fields = redis.call('HGETALL', KEYS[1])
redis.call('INCR', #fields > 0 and KEYS[2] or KEYS[3])
return fields
"""


class ContentQueries:
    """`polystream.v1.ContentService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_content(self, request: GetContentRequest, _context: Any) -> Content:
        """Return one content, and count the hit or the miss. Raises PolystreamError CONTENT_NOT_FOUND."""
        keys = [content_key(request.content_id), CACHE_HITS, CACHE_MISSES]
        fields = text_hash(await self._stores.keys(lambda client: client.register_script(_READ_AND_COUNT)(keys=keys)))
        if not fields:
            raise not_found(Reason.CONTENT_NOT_FOUND, "content_id")
        return _content(request.content_id, cast(ContentHash, fields))

    async def list_contents(self, request: ListContentsRequest, _context: Any) -> ListContentsResponse:
        """Return a page of the cached contents, in the order of their IDs."""
        page = page_of(request, int)
        (after,) = page.after or (0,)
        contents, last = await self._stores.keys(lambda client: _read_on(client, int(after), page.size))
        return ListContentsResponse(contents=contents, next_page_token=page.token(last) if last is not None else "")


async def _read_on(client: Redis, after: int, size: int) -> tuple[list[Content], int | None]:
    """Return up to `size` contents behind an ID, and the ID to read on behind; None when there are no more."""
    contents: list[Content] = []
    for _ in range(_MAX_ROUNDS):
        wanted = size - len(contents)
        entries = await read_index(client, CONTENTS, f"({after}", "+inf", wanted + 1, newest=False)
        ids = [content_id for content_id, _ in entries]
        hashes = await read_hashes(client, CONTENT_PREFIX, CONTENTS, [str(content_id) for content_id in ids[:wanted]])
        contents += [_content(int(content_id), cast(ContentHash, fields)) for content_id, fields in hashes.items()]
        if len(ids) <= wanted:
            return contents, None
        after = ids[wanted - 1]
        if len(contents) == size:
            break
    return contents, after


def _content(content_id: int, fields: ContentHash) -> Content:
    return Content(
        content_id=content_id,
        title=fields.get("titulo"),
        kind=KINDS.value(fields.get("tipo")),
        duration_seconds=int(fields.get("duracao_segundos") or 0),
        genres=json.loads(fields.get("generos") or "[]"),
        attributes=json.loads(fields.get("atributos") or "{}"),
        cache_time=timestamp(fields.get("cacheado_em")),
        expire_time=timestamp(fields.get("expira_em")),
    )
