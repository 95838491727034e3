"""Queries about sessions: hashes `sessao:{id}`, indexed by a sorted set `sessoes:{user_id}` a user."""

from typing import Any, Final, cast

from polystream.v1.sessions_pb2 import GetSessionRequest, ListSessionsRequest, ListSessionsResponse, Session
from redis.asyncio import Redis

from gateway.queries.hashes import Entry, read_hashes, read_index, text_hash, timestamp
from gateway.queries.stores import Stores
from mesh.errors import Reason, not_found
from mesh.pages import page_of
from mesh.store_names.redis import SESSION_PREFIX, SessionHash, session_key, user_sessions_key
from mesh.stored_enums import DEVICES

_MAX_ROUNDS: Final = 4  # of reading on where sessions have ended: a page may be short, but not late
_MAX_SAME_TIME: Final = 1000  # sessions that one user opens in one millisecond
_NEWEST: Final = (2**53, "")  # behind no session that there is


class SessionQueries:
    """`polystream.v1.SessionService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_session(self, request: GetSessionRequest, _context: Any) -> Session:
        """Return one open session. Raises PolystreamError SESSION_NOT_FOUND."""
        session_id = request.session_id.lower()
        fields = text_hash(await self._stores.keys(lambda client: client.hgetall(session_key(session_id))))
        if not fields:
            raise not_found(Reason.SESSION_NOT_FOUND, "session_id")
        return _session(session_id, cast(SessionHash, fields))

    async def list_sessions(self, request: ListSessionsRequest, _context: Any) -> ListSessionsResponse:
        """Return a page of a user's open sessions, the newest first."""
        page = page_of(request, int, str)
        create_ms, session_id = page.after or _NEWEST
        index = user_sessions_key(request.user_id)
        sessions, last = await self._stores.keys(
            lambda client: _read_on(client, index, (int(create_ms), str(session_id)), page.size)
        )
        return ListSessionsResponse(sessions=sessions, next_page_token=page.token(*last) if last is not None else "")


async def _read_on(client: Redis, index: str, before: Entry, size: int) -> tuple[list[Session], Entry | None]:
    """Return up to `size` sessions older than an entry, and the entry to read on behind; None when there are none."""
    sessions: list[Session] = []
    for _ in range(_MAX_ROUNDS):
        wanted = size - len(sessions)
        entries = await _entries(client, index, before, wanted + 1)
        hashes = await read_hashes(client, SESSION_PREFIX, index, [session_id for _, session_id in entries[:wanted]])
        sessions += [_session(session_id, cast(SessionHash, fields)) for session_id, fields in hashes.items()]
        if len(entries) <= wanted:
            return sessions, None
        before = entries[wanted - 1]
        if len(sessions) == size:
            break
    return sessions, before


async def _entries(client: Redis, index: str, before: Entry, count: int) -> list[Entry]:
    """Return up to `count` entries of the index older than `before`, the newest first.

    Entries of the same millisecond stand in the order of their IDs.
    """
    create_ms, session_id = before
    same_time = await read_index(client, index, str(create_ms), str(create_ms), _MAX_SAME_TIME, newest=True)
    older = await read_index(client, index, f"({create_ms}", "-inf", count, newest=True)
    return [*(entry for entry in same_time if entry[1] < session_id), *older][:count]


def _session(session_id: str, fields: SessionHash) -> Session:
    return Session(
        session_id=session_id,
        user_id=int(fields["user_id"]),
        device=DEVICES.value(fields.get("dispositivo")),
        create_time=timestamp(fields.get("criada_em")),
        expire_time=timestamp(fields.get("expira_em")),
    )
