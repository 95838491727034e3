"""DeleteContent: the hash `conteudo:{id}` goes, and its place in the index with it."""

from collections.abc import Sequence

from polystream.v1.contents_pb2 import Content, DeleteContentRequest
from redis import Redis

from mesh.errors import Reason
from mesh.store_names.redis import CONTENTS, content_key
from processor.model import Delivery, Outcome, refuse, requests_of
from processor.stores.redis_plans import RedisPlan


def redis(batch: Sequence[Delivery], _db: Redis) -> Sequence[RedisPlan]:
    """Plan the deletions, each of a content that is cached at that moment."""
    return [
        RedisPlan(
            outcome=Outcome(result=Content(content_id=request.content_id)),
            writes=(("DEL", content_key(request.content_id)), ("ZREM", CONTENTS, request.content_id)),
            requires=content_key(request.content_id),
            refusal=refuse(Reason.CONTENT_NOT_FOUND, "content_id"),
        )
        for request in requests_of(batch, DeleteContentRequest)
    ]
