"""CacheContent: a hash `conteudo:{id}` that expires, and its place in the index `conteudos`."""

import json
from collections.abc import Sequence
from typing import Final

from polystream.v1.contents_pb2 import CacheContentRequest, Content
from redis import Redis

from mesh.store_names.redis import CONTENT_PREFIX, CONTENTS, ContentHash, content_key
from mesh.stored_enums import KINDS
from processor.model import Delivery, Outcome, requests_of
from processor.stores.redis_hashes import content_hash
from processor.stores.redis_plans import RedisPlan, Write, now_ms, set_fields, timestamp_ms, trim_index

_DEFAULT_TTL_S: Final = 86_400
_TRIMMED_MEMBERS: Final = 3


def redis(batch: Sequence[Delivery], db: Redis) -> Sequence[RedisPlan]:
    """Plan the contents, each in place of what was cached before."""
    cache_ms = now_ms(db)
    return [_plan(request, cache_ms) for request in requests_of(batch, CacheContentRequest)]


def content_writes(content: Content) -> tuple[Write, ...]:
    """Return the writes that cache a content, for ever where it has no `expire_time`."""
    key = content_key(content.content_id)
    fields: ContentHash = {
        "titulo": content.title,
        "tipo": KINDS.text(content.kind),
        "duracao_segundos": str(content.duration_seconds),
        "generos": json.dumps(list(content.genres), ensure_ascii=False),
        "atributos": json.dumps(dict(content.attributes), ensure_ascii=False, sort_keys=True),
        "cacheado_em": str(content.cache_time.ToMilliseconds()),
    }
    fields["hash_conteudo"] = content_hash(key, fields)
    expiry: tuple[Write, ...] = ()
    if content.HasField("expire_time"):
        expire_ms = content.expire_time.ToMilliseconds()
        fields["expira_em"] = str(expire_ms)
        expiry = (("PEXPIREAT", key, expire_ms),)
    return (
        ("DEL", key),
        set_fields(key, fields),
        *expiry,
        ("ZADD", CONTENTS, content.content_id, content.content_id),
    )


def _plan(request: CacheContentRequest, cache_ms: int) -> RedisPlan:
    content = Content(
        content_id=request.content_id,
        title=request.title,
        kind=request.kind,
        duration_seconds=request.duration_seconds,
        genres=request.genres,
        attributes=request.attributes,
        cache_time=timestamp_ms(cache_ms),
        expire_time=timestamp_ms(cache_ms + (request.ttl_seconds or _DEFAULT_TTL_S) * 1000),
    )
    return RedisPlan(
        outcome=Outcome(result=content),
        writes=(*content_writes(content), trim_index(CONTENTS, CONTENT_PREFIX, _TRIMMED_MEMBERS)),
    )
