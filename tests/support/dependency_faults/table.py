"""The table of dependencies and states: how each is caused, who has to tell of it, and what goes on meanwhile."""

from typing import Final

from cli.verify.fault_proxy import Behaviour, http_answer
from tests.support.dependency_faults import event_store, kafka, mongodb, parts, postgresql, redis
from tests.support.dependency_faults.cell import (
    NOTHING,
    RECOVERED_MAX_S,
    STORES,
    Cause,
    Cell,
    HeldElsewhere,
    NotMade,
    State,
    Told,
)
from tests.support.dependency_faults.proxied import LATE_S, answering, behaving, killed

_LATE: Final = f"{LATE_S:g} s late"
_REJOIN_MAX_S: Final = 45.0  # librdkafka may never come back to its group: after 30 s its consumer is made anew


def _slow(engine: str) -> Cause:
    return behaving(engine, Behaviour.DELAY, delay_s=LATE_S)


def _store(name: str, *others: Cell) -> tuple[Cell, ...]:
    """Return the cells of a store: its own, and those that are the same for each."""
    return (
        _away(name, State.DOWN, "killed", killed(name)),
        # Its lane goes on, slowly: each call is answered before it counts as a wait.
        Cell(name, State.SLOW, _LATE, _slow(name), (Told(name),), STORES - {name}, STORES - {name}),
        *others,
        _away(name, State.HALF_THERE, "answers get lost", behaving(name, Behaviour.DEAF)),
    )


def _away(name: str, state: State, how: str, cause: Cause, *words: str) -> Cell:
    """Return a cell in which neither gateway nor lane reaches a store."""
    told = (Told(name), Told(f"lane-{name}", words or (name,)))
    return Cell(name, state, how, cause, told, STORES - {name}, STORES - {name})


def _of_lane(store: str, state: State, how: str, cause: Cause, *words: str, queries: frozenset[str] = STORES) -> Cell:
    """Return a cell that the store's lane notices by what it does."""
    return Cell(store, state, how, cause, (Told(f"lane-{store}", words),), STORES - {store}, queries)


POSTGRESQL: Final = _store(
    "postgresql",
    _away("postgresql", State.REFUSING, "logins are rejected", postgresql.logins_are_refused, "28000", "refuses"),
    _of_lane("postgresql", State.FULL, "inserts fail with 53100", postgresql.has_no_room, "53100"),
    _away("postgresql", State.HALF_THERE, "answers nothing", behaving("postgresql", Behaviour.BLACK_HOLE)),
)
MONGODB: Final = _store(
    "mongodb",
    _away("mongodb", State.REFUSING, "resets each connection", behaving("mongodb", Behaviour.RESET)),
    _of_lane("mongodb", State.FULL, "writes fail with OutOfDiskSpace", mongodb.has_no_room, "14031"),
    # MongoDB's client looks for a primary for a while by itself, before it tells why.
    _of_lane("mongodb", State.READ_ONLY, "is not primary", mongodb.is_read_only, "waits for mongodb"),
)
REDIS: Final = _store(
    "redis",
    _away("redis", State.REFUSING, "wants a password", redis.wants_a_password, "NOAUTH", "password", "auth"),
    _of_lane(
        *("redis", State.HALF_THERE, "answers reads only", redis.answers_reads_only, "redis"),
        queries=STORES - {"redis"},  # a query of a content counts its hits
    ),
    _away("redis", State.HALF_THERE, "answers nothing", behaving("redis", Behaviour.BLACK_HOLE)),
)


def _kafka(state: State, how: str, cause: Cause, *told: Told) -> Cell:
    """Return a cell in which no command is taken; queries do not need Kafka."""
    recovered_max_s = _REJOIN_MAX_S if state is State.HALF_THERE else RECOVERED_MAX_S
    return Cell("kafka", state, how, cause, told, NOTHING, recovered_max_s=recovered_max_s)


_LANES: Final = ("lane-postgresql", "lane-mongodb", "lane-redis")
_LANES_WAIT: Final = tuple(Told(lane, ("kafka",)) for lane in _LANES)
_GATEWAY_WAITS: Final = Told("gateway", ("kafka",))
_AWAY: Final = (Told("kafka"), _GATEWAY_WAITS, *_LANES_WAIT, Told("monitor", ("kafka",)))
KAFKA: Final = (
    _kafka(State.DOWN, "killed", killed("kafka"), *_AWAY),
    # Each call is answered before it counts as a wait.
    _kafka(State.SLOW, _LATE, _slow("kafka"), Told("kafka")),
    _kafka(State.REFUSING, "resets each connection", behaving("kafka", Behaviour.RESET), *_AWAY),
    _kafka(State.READ_ONLY, "takes no writes", kafka.is_read_only, _GATEWAY_WAITS),
    _kafka(State.HALF_THERE, "takes no receipts", kafka.takes_no_receipts, *_LANES_WAIT),
    _kafka(State.HALF_THERE, "answers nothing", behaving("kafka", Behaviour.BLACK_HOLE), *_AWAY),
    _kafka(State.HALF_THERE, "answers get lost", behaving("kafka", Behaviour.DEAF), *_AWAY),
)


def _registry(state: State, how: str, cause: Cause) -> Cell:
    """Return a cell in which all goes on: the services know their schemas."""
    return Cell("schema_registry", state, how, cause, (Told("schema_registry"),))


_BUSY: Final = http_answer(429, '{"error_code": 42900, "message": "too many requests"}')
_FORBIDDEN: Final = http_answer(401, '{"error_code": 40101, "message": "Unauthorized"}')
_UNABLE: Final = http_answer(503, '{"error_code": 50301, "message": "not now"}')
_NO_ROOM: Final = http_answer(507, '{"error_code": 50701, "message": "no space left"}')
REGISTRY: Final = (
    _registry(State.DOWN, "refuses connections", behaving("schema_registry", Behaviour.REFUSE)),
    _registry(State.SLOW, _LATE, _slow("schema_registry")),
    _registry(State.REFUSING, "answers 401", answering("schema_registry", _FORBIDDEN)),
    _registry(State.REFUSING, "answers 503", answering("schema_registry", _UNABLE)),
    _registry(State.FULL, "answers 507", answering("schema_registry", _NO_ROOM)),
    _registry(State.HALF_THERE, "answers nothing", behaving("schema_registry", Behaviour.BLACK_HOLE)),
)


def _monitor(dependency: str, word: str, state: State, how: str, cause: Cause) -> Cell:
    """Return a cell that the monitor tells of, and in which commands and queries go on."""
    return Cell(dependency, state, how, cause, (Told("monitor", (word,)),))


EVENT_STORE: Final = tuple(
    _monitor("event_store", "event_store", *cell)
    for cell in (
        (State.DOWN, "refuses connections", behaving("opensearch", Behaviour.REFUSE)),
        (State.SLOW, "6 s late", behaving("opensearch", Behaviour.DELAY, delay_s=6.0)),
        (State.REFUSING, "answers 429", answering("opensearch", _BUSY)),
        (State.REFUSING, "answers 503", answering("opensearch", _UNABLE)),
        (State.FULL, "flood stage", event_store.blocked("api_*", "read_only_allow_delete")),
        (State.READ_ONLY, "writes are blocked", event_store.blocked("api_*", "write")),
        (State.HALF_THERE, "one index is blocked", event_store.blocked("api_operations", "write")),
        (State.HALF_THERE, "answers nothing", behaving("opensearch", Behaviour.BLACK_HOLE)),
    )
)
JAEGER: Final = tuple(
    _monitor("jaeger", "jaeger", *cell)
    for cell in (
        (State.DOWN, "refuses connections", behaving("jaeger", Behaviour.REFUSE)),
        (State.SLOW, "6 s late", behaving("jaeger", Behaviour.DELAY, delay_s=6.0)),
        (State.REFUSING, "resets each connection", behaving("jaeger", Behaviour.RESET)),
        (State.HALF_THERE, "answers nothing", behaving("jaeger", Behaviour.BLACK_HOLE)),
    )
)
# Killed: the supervisor tells by the number of restarts. Standing still: whoever hears of the part tells.
LANES_KILLED: Final = tuple(
    Cell(lane, State.DOWN, "killed", parts.killed(f"{lane}-0"), (), STORES - {lane.removeprefix("lane-")})
    for lane in _LANES
)
LANES_STILL: Final = tuple(
    Cell(
        *(lane, State.HALF_THERE, "stands still", parts.standing_still(f"{lane}-0")),
        *((Told(lane, ("not heard of for",)),), STORES - {lane.removeprefix("lane-")}),
    )
    for lane in _LANES
)
MONITOR: Final = (
    Cell("monitor", State.DOWN, "killed", parts.killed("monitor"), ()),
    Cell("monitor", State.HALF_THERE, "stands still", parts.standing_still("monitor"), (Told("monitor"),)),
)
GATEWAY: Final = (
    Cell("gateway", State.DOWN, "killed", parts.killed("gateway-0"), (), NOTHING, NOTHING),
    Cell("gateway", State.HALF_THERE, "stands still", parts.standing_still("gateway-0"), (), NOTHING, NOTHING),
)
_PARTS: Final = (*LANES_KILLED, *LANES_STILL, *MONITOR, *GATEWAY)
CELLS: Final = (*POSTGRESQL, *MONGODB, *REDIS, *KAFKA, *REGISTRY, *EVENT_STORE, *JAEGER, *_PARTS)
ENGINES: Final = ("postgresql", "mongodb", "redis", "kafka", "schema_registry", "event_store", "jaeger")
PARTS: Final = (*_LANES, "monitor", "gateway")
_HEALTH_TOLD: Final = "tests/integration/test_health_told.py"
HELD_ELSEWHERE: Final = (
    HeldElsewhere(
        "postgresql", State.READ_ONLY, "sessions only read", _HEALTH_TOLD, '_of_postgresql(_read_only, "25006")'
    ),
    HeldElsewhere("postgresql", State.HALF_THERE, "a table is locked", _HEALTH_TOLD, "_of_postgresql(_locked, "),
    HeldElsewhere("postgresql", State.HALF_THERE, "a table is away", _HEALTH_TOLD, "_of_postgresql(_renamed, "),
    HeldElsewhere("redis", State.FULL, "maxmemory is reached", _HEALTH_TOLD, "_of_redis(_full, "),
    HeldElsewhere("redis", State.READ_ONLY, "is a replica", _HEALTH_TOLD, "_of_redis(_replica, "),
    HeldElsewhere("mongodb", State.HALF_THERE, "hangs", _HEALTH_TOLD, 'frozen(parts.engines.pid("mongodb"))'),
)
NOT_MADE: Final = (
    NotMade("kafka", State.FULL, "a broker ends when its last log folder fails: then it is down"),
    NotMade("schema_registry", State.READ_ONLY, "a platform that runs writes nothing to the registry"),
    NotMade("jaeger", State.FULL, "it has no disk of its own: the event store's cells are its too"),
    NotMade("jaeger", State.READ_ONLY, "it has no disk of its own: the event store's cells are its too"),
)
