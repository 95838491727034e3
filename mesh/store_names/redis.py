"""Redis's keys and the fields of its hashes."""

from typing import Final, TypedDict

CONTENT_PREFIX: Final = "conteudo:"
CONTENTS: Final = "conteudos"  # sorted set: content IDs, scored by themselves
CACHE_HITS: Final = "app:stats:cache_hits"
CACHE_MISSES: Final = "app:stats:cache_misses"

SESSION_PREFIX: Final = "sessao:"
USER_SESSIONS_PREFIX: Final = "sessoes:"

MARKER_PREFIX: Final = "comando:"
MARKERS: Final = "comandos:por_idade"  # list: what mesh.redis_budget says of each marker
MARKERS_BYTES: Final = "comandos:bytes"  # what the markers take
MARKERS_GONE: Final = "comandos:esquecidos_ate"  # when the newest marker that gave way was written, in milliseconds

OPERATION_PREFIX: Final = "operation:"
OPERATIONS: Final = "operations:by_age"  # as MARKERS
OPERATIONS_BYTES: Final = "operations:bytes"
REQUEST_PREFIX: Final = "request:"
REQUESTS: Final = "requests:by_age"  # as MARKERS
REQUESTS_BYTES: Final = "requests:bytes"
# Since when every request ID is noted here, in milliseconds since the epoch; 0 where there was none before.
REQUESTS_SINCE: Final = "requests:since"
REQUESTS_GONE: Final = "requests:gone"  # as MARKERS_GONE

KNOWN_USERS: Final = "usuarios:conhecidos"  # hash, by user ID: empty for who was found to exist, else the erasure
PARKED: Final = "estacionados"  # hash, by key: how many records it has of those that wait, or were given up
PARKED_PREFIX: Final = "estacionados:chave:"  # list, by key: the records' IDs, in order
PARKED_RECORDS_PREFIX: Final = "estacionados:registros:"  # hash, by key: the records by their IDs
# Hash, by the topic's ID and partition: below which offset every command is answered.
POSITIONS: Final = "posicoes"
PING_KEY: Final = "lane:ping"  # written and forgotten, to see whether the server takes writes


class ContentHash(TypedDict, total=False):
    """A hash `conteudo:{id}`. One from before the platform may lack some of its fields."""

    titulo: str
    tipo: str  # of mesh.stored_enums.KINDS
    duracao_segundos: str
    generos: str  # a list in JSON
    atributos: str  # an object in JSON, texts by name
    cacheado_em: str  # in milliseconds since the epoch
    expira_em: str  # likewise; missing where it never expires
    hash_conteudo: str  # of the others but `expira_em`, and of the key; one of an earlier version has none


class SessionHash(TypedDict, total=False):
    """A hash `sessao:{id}`."""

    user_id: str
    dispositivo: str  # of mesh.stored_enums.DEVICES
    criada_em: str  # in milliseconds since the epoch
    expira_em: str  # likewise
    hash_conteudo: str  # as in ContentHash


def content_key(content_id: int) -> str:
    """Return the key of a content's hash."""
    return f"{CONTENT_PREFIX}{content_id}"


def session_key(session_id: str) -> str:
    """Return the key of a session's hash."""
    return f"{SESSION_PREFIX}{session_id}"


def user_sessions_key(user_id: int) -> str:
    """Return the key of the sorted set of a user's sessions: session IDs by their creation, in milliseconds."""
    return f"{USER_SESSIONS_PREFIX}{user_id}"


def marker_key(correlation_id: str) -> str:
    """Return the key of the marker that a command leaves, with its receipt."""
    return f"{MARKER_PREFIX}{correlation_id}"


def parked_key(key: bytes) -> bytes:
    """Return the key of the list of the records that are parked under a key of `user_events`."""
    return PARKED_PREFIX.encode() + key


def parked_records_key(key: bytes) -> bytes:
    """Return the key of the hash of those records."""
    return PARKED_RECORDS_PREFIX.encode() + key


def operation_key(correlation_id: str) -> str:
    """Return the key of an operation's hash: its receipts, a field a store."""
    return f"{OPERATION_PREFIX}{correlation_id}"


def request_key(correlation_id: str) -> str:
    """Return the key of the fingerprint of the request that a client's `request_id` stands for."""
    return f"{REQUEST_PREFIX}{correlation_id}"
