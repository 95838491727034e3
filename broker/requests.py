"""The requests of Kafka's protocol that this broker answers: what each version looks like on the wire.

A handler returns the body of its answer, or a future of it where that takes time: a disk, other members of a group, or
records that have yet to come.
"""

from asyncio import Future, get_running_loop
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from broker.broker import Broker, FetchedPartition, FetchQuery, NewTopicRequest
from broker.errors import ErrorCode
from broker.groups import JoinAnswer, JoinRequest, SyncAnswer
from broker.logs import Appended
from broker.wire import MalformedRequestError, WireReader, WireWriter

_Result = TypeVar("_Result")

NODE_ID: Final = 1
_NO_AUTHORIZED_OPERATIONS: Final = -(2**31)  # what Kafka says to those who did not ask

Answer = WireWriter | None  # None where the client wants none
Handler = Callable[["BrokerRequest"], "Answer | Future[Answer]"]


@dataclass(frozen=True, slots=True)
class BrokerRequest:
    """One request: its version, who sends it, and its body."""

    version: int
    client_id: str
    body: WireReader
    broker: Broker


@dataclass(frozen=True, slots=True)
class Api:
    """One kind of request."""

    key: int
    versions: tuple[int, int]  # the first and the last one that is understood
    handle: Handler
    flexible_from: int = 2**15  # the first version with compact texts and tags


def _pending() -> "Future[Answer]":
    return get_running_loop().create_future()


def _set(answer: "Future[Answer]", body: Answer) -> None:
    if not answer.done():  # the connection may be gone
        answer.set_result(body)


def _api_versions(request: BrokerRequest) -> Answer:
    return api_versions(request.version, ErrorCode.NONE)


def api_versions(version: int, error: ErrorCode) -> WireWriter:
    """Return what this broker understands; version 0 is what is said to a client that asks in a later one."""
    compact = version >= 3
    body = WireWriter().int16(error).count(len(APIS), compact=compact)
    for api in APIS.values():
        body.int16(api.key).int16(api.versions[0]).int16(api.versions[1]).tags(compact=compact)
    if version >= 1:
        body.int32(0)  # throttle time
    return body.tags(compact=compact)


def _metadata(request: BrokerRequest) -> Answer:
    version, broker = request.version, request.broker
    compact = version >= 9
    topics = _asked_topics(request, compact=compact)
    body = WireWriter()
    if version >= 3:
        body.int32(0)  # throttle time
    body.count(1, compact=compact).int32(NODE_ID).text(broker.host, compact=compact).int32(broker.port)
    if version >= 1:
        body.text(None, compact=compact)  # rack
    body.tags(compact=compact)
    if version >= 2:
        body.text(broker.cluster_id, compact=compact)
    if version >= 1:
        body.int32(NODE_ID)  # the controller
    body.count(len(topics), compact=compact)
    for name, error in topics:
        _write_topic(body, request, name, error)
    if 8 <= version <= 10:
        body.int32(_NO_AUTHORIZED_OPERATIONS)
    return body.tags(compact=compact)


def _asked_topics(request: BrokerRequest, *, compact: bool) -> list[tuple[str, ErrorCode]]:
    """Return each topic that is asked for, by its name, and whether it is there."""
    body, version, logs = request.body, request.version, request.broker.topics

    def asked() -> tuple[str, ErrorCode]:
        topic_id = body.uuid() if version >= 10 else None
        name = body.compact_text() if compact else body.text()
        if compact:
            body.skip_tags()
        if name is None and topic_id:
            found = logs.with_id(topic_id)
            return (found.name, ErrorCode.NONE) if found else ("", ErrorCode.UNKNOWN_TOPIC_ID)
        name = name or ""
        return name, ErrorCode.NONE if logs.get(name) else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    found = body.compact_items(asked) if compact else body.items(asked)
    if found is None or (version == 0 and not found):
        return [(topic.name, ErrorCode.NONE) for topic in logs]
    return found


def _write_topic(body: WireWriter, request: BrokerRequest, name: str, error: ErrorCode) -> None:
    version = request.version
    compact = version >= 9
    topic = request.broker.topics.get(name)
    body.int16(error).text(name or (None if version >= 12 else ""), compact=compact)
    if version >= 10:
        body.uuid(topic.topic_id if topic else request.broker.no_id)
    if version >= 1:
        body.boolean(False)  # whether it is internal
    partitions = len(topic.partitions) if topic else 0
    body.count(partitions, compact=compact)
    for number in range(partitions):
        body.int16(ErrorCode.NONE).int32(number).int32(NODE_ID)
        if version >= 7:
            body.int32(0)  # the leader's epoch
        for _ in range(2):  # replicas, and those in sync
            body.count(1, compact=compact).int32(NODE_ID)
        if version >= 5:
            body.count(0, compact=compact)  # those offline
        body.tags(compact=compact)
    if version >= 8:
        body.int32(_NO_AUTHORIZED_OPERATIONS)
    body.tags(compact=compact)


def _produce(request: BrokerRequest) -> "Answer | Future[Answer]":
    body, version = request.body, request.version
    transactional_id = body.nullable_text()
    acks = body.int16()
    body.int32()  # how long the client waits: a disk takes no longer

    def partition() -> tuple[int, bytes]:
        return body.int32(), body.blob()

    topics = body.items(lambda: (body.text(), body.items(partition) or [])) or []
    answer, told = _pending(), dict[tuple[str, int], Appended]()
    batches = [(name, number, data) for name, partitions in topics for number, data in partitions]

    def done(name: str, number: int, appended: Appended) -> None:
        told[name, number] = appended
        if len(told) == len(batches):
            _set(answer, None if acks == 0 else _produced(topics, told, version))

    if len({(name, number) for name, number, _ in batches}) != len(batches):
        raise MalformedRequestError("a partition is named twice")
    for name, number, data in batches:
        if transactional_id is not None:
            done(name, number, Appended(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))
        else:
            request.broker.append(name, number, data, partial(done, name, number))
    if not batches:
        _set(answer, None if acks == 0 else _produced(topics, told, version))
    return answer


def _produced(
    topics: list[tuple[str, list[tuple[int, bytes]]]], told: Mapping[tuple[str, int], Appended], version: int
) -> WireWriter:
    body = WireWriter().count(len(topics))
    for name, partitions in topics:
        body.text(name).count(len(partitions))
        for number, _ in partitions:
            appended = told[name, number]
            body.int32(number).int16(appended.error).int64(appended.base_offset).int64(-1)  # no time of its own
            if version >= 5:
                body.int64(appended.start_offset)
            if version >= 8:
                body.count(0).text(None)  # errors of single records, and a message
    return body.int32(0)  # throttle time


def _fetch(request: BrokerRequest) -> "Answer | Future[Answer]":
    body, version = request.body, request.version
    body.int32()  # the replica that asks: there is none
    max_wait_ms, min_bytes, max_bytes = body.int32(), body.int32(), body.int32()
    body.int8()  # isolation: nothing here is uncommitted
    if version >= 7:
        body.raw(8)  # the session, of which none is kept: every request names all its partitions

    def partition() -> tuple[int, int, int]:
        number = body.int32()
        if version >= 9:
            body.int32()  # the leader's epoch
        offset = body.int64()
        if version >= 5:
            body.int64()  # where the client's log begins
        return number, offset, body.int32()

    topics = body.items(lambda: (body.text(), body.items(partition) or [])) or []
    queries = [FetchQuery(name, *asked) for name, partitions in topics for asked in partitions]
    answer = _pending()

    def done(found: list[FetchedPartition]) -> None:
        told = iter(found)
        _set(answer, _fetched([(name, [next(told) for _ in partitions]) for name, partitions in topics], version))

    request.broker.fetch(queries, max_wait_ms, min_bytes, max_bytes, done)
    return answer


def _fetched(topics: list[tuple[str, list[FetchedPartition]]], version: int) -> WireWriter:
    body = WireWriter().int32(0)  # throttle time
    if version >= 7:
        body.int16(ErrorCode.NONE).int32(0)  # no session
    body.count(len(topics))
    for name, partitions in topics:
        body.text(name).count(len(partitions))
        for found in partitions:
            body.int32(found.number).int16(found.error).int64(found.high_watermark).int64(found.high_watermark)
            if version >= 5:
                body.int64(found.start)
            body.count(0)  # aborted transactions
            if version >= 11:
                body.int32(-1)  # a replica that is nearer
            body.blobs(found.batches)
    return body


def _list_offsets(request: BrokerRequest) -> Answer:
    body, version = request.body, request.version
    body.int32()  # the replica that asks
    if version >= 2:
        body.int8()  # isolation

    def partition() -> tuple[int, int]:
        number = body.int32()
        if version >= 4:
            body.int32()  # the leader's epoch
        return number, body.int64()

    topics = body.items(lambda: (body.text(), body.items(partition) or [])) or []
    answer = WireWriter()
    if version >= 2:
        answer.int32(0)  # throttle time
    answer.count(len(topics))
    for name, partitions in topics:
        answer.text(name).count(len(partitions))
        for number, timestamp_ms in partitions:
            error, found_ms, offset = request.broker.find_offset(name, number, timestamp_ms)
            answer.int32(number).int16(error).int64(found_ms).int64(offset)
            if version >= 4:
                answer.int32(0 if offset >= 0 else -1)  # the leader's epoch
    return answer


def _find_coordinator(request: BrokerRequest) -> Answer:
    version, body = request.version, WireWriter()
    request.body.text()  # whose coordinator: this node is everybody's
    if version >= 1:
        is_of_transactions = request.body.int8() != 0
        body.int32(0)  # throttle time
        if is_of_transactions:
            return body.int16(ErrorCode.INVALID_REQUEST).text("there are no transactions").int32(-1).text("").int32(-1)
        return body.int16(ErrorCode.NONE).text(None).int32(NODE_ID).text(request.broker.host).int32(request.broker.port)
    return body.int16(ErrorCode.NONE).int32(NODE_ID).text(request.broker.host).int32(request.broker.port)


def _join_group(request: BrokerRequest) -> "Future[Answer]":
    body, version = request.body, request.version
    group_id, session_ms = body.text(), body.int32()
    rebalance_ms = body.int32() if version >= 1 else session_ms
    member_id, protocol_type = body.text(), body.text()
    protocols = dict(body.items(lambda: (body.text(), body.blob())) or [])
    asked = JoinRequest(
        group_id, member_id, request.client_id, session_ms, rebalance_ms, protocol_type, protocols, version >= 4
    )
    return _later(request.broker.groups.join(asked), lambda joined: _joined(joined, version))


def _joined(joined: JoinAnswer, version: int) -> WireWriter:
    body = WireWriter()
    if version >= 2:
        body.int32(0)  # throttle time
    body.int16(joined.error).int32(joined.generation).text(joined.protocol).text(joined.leader).text(joined.member_id)
    body.count(len(joined.members))
    for member_id, metadata in joined.members.items():
        body.text(member_id).blob(metadata)
    return body


def _sync_group(request: BrokerRequest) -> "Future[Answer]":
    body, version = request.body, request.version
    group_id, generation, member_id = body.text(), body.int32(), body.text()
    assignments = dict(body.items(lambda: (body.text(), body.blob())) or [])

    def told(synced: SyncAnswer) -> WireWriter:
        answer = WireWriter()
        if version >= 1:
            answer.int32(0)  # throttle time
        return answer.int16(synced.error).blob(synced.assignment)

    return _later(request.broker.groups.sync(group_id, member_id, generation, assignments), told)


def _later(found: "Future[_Result]", write: Callable[[_Result], WireWriter]) -> "Future[Answer]":
    answer = _pending()
    found.add_done_callback(lambda done: None if done.cancelled() else _set(answer, write(done.result())))
    # A member whose connection is gone waits no longer, and is held to its session's time.
    answer.add_done_callback(lambda done: found.cancel() if done.cancelled() else None)
    return answer


def _heartbeat(request: BrokerRequest) -> Answer:
    body = request.body
    group_id, generation, member_id = body.text(), body.int32(), body.text()
    return _only_error(request.version, request.broker.groups.heartbeat(group_id, member_id, generation))


def _leave_group(request: BrokerRequest) -> Answer:
    group_id, member_id = request.body.text(), request.body.text()
    return _only_error(request.version, request.broker.groups.leave(group_id, member_id))


def _only_error(version: int, error: ErrorCode) -> WireWriter:
    body = WireWriter()
    if version >= 1:
        body.int32(0)  # throttle time
    return body.int16(error)


def _offset_commit(request: BrokerRequest) -> "Answer | Future[Answer]":
    body, version = request.body, request.version
    group_id, generation, member_id = body.text(), body.int32(), body.text()
    if version <= 4:
        body.int64()  # how long it is to be kept: for good

    def partition() -> tuple[int, int, str]:
        number, offset = body.int32(), body.int64()
        if version >= 6:
            body.int32()  # the leader's epoch
        return number, offset, body.text()

    topics = body.items(lambda: (body.text(), body.items(partition) or [])) or []
    answer = _pending()

    def done(errors: Mapping[tuple[str, int], ErrorCode]) -> None:
        told = WireWriter()
        if version >= 3:
            told.int32(0)  # throttle time
        told.count(len(topics))
        for name, partitions in topics:
            told.text(name).count(len(partitions))
            for number, _, _ in partitions:
                told.int32(number).int16(errors[name, number])
        _set(answer, told)

    offsets = {(name, number): (offset, metadata) for name, some in topics for number, offset, metadata in some}
    request.broker.commit(group_id, (member_id, generation), offsets, done)
    return answer


def _offset_fetch(request: BrokerRequest) -> Answer:
    body, version = request.body, request.version
    group_id = body.text()
    topics = body.items(lambda: (body.text(), body.items(body.int32) or []))
    committed = request.broker.committed(group_id)
    if topics is None:
        of_topics = dict[str, list[int]]()
        for name, number in committed:
            of_topics.setdefault(name, []).append(number)
        topics = list(of_topics.items())
    answer = WireWriter()
    if version >= 3:
        answer.int32(0)  # throttle time
    answer.count(len(topics))
    for name, partitions in topics:
        answer.text(name).count(len(partitions))
        for number in partitions:
            offset, metadata = committed.get((name, number), (-1, ""))
            answer.int32(number).int64(offset)
            if version >= 5:
                answer.int32(-1)  # the leader's epoch
            answer.text(metadata).int16(ErrorCode.NONE)
    if version >= 2:
        answer.int16(ErrorCode.NONE)
    return answer


def _init_producer_id(request: BrokerRequest) -> Answer:
    body = WireWriter().int32(0)  # throttle time
    if request.body.nullable_text() is not None:
        return body.int16(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED).int64(-1).int16(-1)
    return body.int16(ErrorCode.NONE).int64(request.broker.take_producer_id()).int16(0)


def _create_topics(request: BrokerRequest) -> "Answer | Future[Answer]":
    body, version = request.body, request.version

    def asked() -> NewTopicRequest:
        name, partitions, replicas = body.text(), body.int32(), body.int16()
        assigned = len(body.items(lambda: (body.int32(), body.items(body.int32))) or [])
        config = dict(body.items(lambda: (body.text(), body.text())) or [])
        return NewTopicRequest(name, assigned or partitions, 1 if assigned else replicas, config)

    topics = body.items(asked) or []
    body.int32()  # how long the client waits
    only_checks = version >= 1 and body.boolean()
    answer = _pending()

    def done(errors: list[tuple[ErrorCode, str]]) -> None:
        told = WireWriter()
        if version >= 2:
            told.int32(0)  # throttle time
        told.count(len(topics))
        for topic, (error, message) in zip(topics, errors, strict=True):
            told.text(topic.name).int16(error)
            if version >= 1:
                told.text(message or None)
        _set(answer, told)

    request.broker.create_topics(topics, done, only_checks=only_checks)
    return answer


def _delete_topics(request: BrokerRequest) -> "Answer | Future[Answer]":
    body, version = request.body, request.version
    names = body.items(body.text) or []
    answer = _pending()

    def done(errors: list[ErrorCode]) -> None:
        told = WireWriter()
        if version >= 1:
            told.int32(0)  # throttle time
        told.count(len(names))
        for name, error in zip(names, errors, strict=True):
            told.text(name).int16(error)
        _set(answer, told)

    request.broker.delete_topics(names, done)
    return answer


def _list_groups(request: BrokerRequest) -> Answer:
    groups, body = request.broker.groups.list(), WireWriter()
    if request.version >= 1:
        body.int32(0)  # throttle time
    body.int16(ErrorCode.NONE).count(len(groups))
    for group_id, protocol_type in groups.items():
        body.text(group_id).text(protocol_type)
    return body


def _delete_groups(request: BrokerRequest) -> "Answer | Future[Answer]":
    names = request.body.items(request.body.text) or []
    answer = _pending()

    def done(errors: list[ErrorCode]) -> None:
        told = WireWriter().int32(0).count(len(names))  # throttle time before
        for name, error in zip(names, errors, strict=True):
            told.text(name).int16(error)
        _set(answer, told)

    request.broker.delete_groups(names, done)
    return answer


APIS: Final[dict[int, Api]] = {
    api.key: api
    for api in (
        Api(0, (3, 8), _produce),
        Api(1, (4, 11), _fetch),
        Api(2, (1, 5), _list_offsets),
        Api(3, (0, 12), _metadata, flexible_from=9),
        Api(8, (2, 6), _offset_commit),
        Api(9, (1, 5), _offset_fetch),
        Api(10, (0, 2), _find_coordinator),
        Api(11, (0, 4), _join_group),
        Api(12, (0, 2), _heartbeat),
        Api(13, (0, 2), _leave_group),
        Api(14, (0, 2), _sync_group),
        Api(16, (0, 2), _list_groups),
        Api(18, (0, 3), _api_versions, flexible_from=3),
        Api(19, (0, 4), _create_topics),
        Api(20, (0, 3), _delete_topics),
        Api(22, (0, 1), _init_producer_id),
        Api(42, (0, 1), _delete_groups),
    )
}
API_VERSIONS: Final = 18
