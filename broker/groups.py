"""Consumer groups, by Kafka's classic protocol: who is in one, who reads what, and how far each has come.

The offsets are on the disk. The members are not: after a start, each is told that it is unknown, and joins anew.
"""

import time
from asyncio import Future, get_running_loop
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from uuid import uuid4

from broker.errors import ErrorCode
from broker.journal import Journal
from broker.store import COMMIT_OFFSET, FORGET_GROUP, BrokerStore, Statement

SESSION_TIMEOUT_MS_MIN: Final = 1000
SESSION_TIMEOUT_MS_MAX: Final = 1_800_000  # Kafka's own `group.max.session.timeout.ms`
_MEMBERS_MAX: Final = 1000
_GROUPS_MAX: Final = 10_000

OffsetPlace = tuple[int, int]  # a topic's key, and a partition


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a consumer asks that wants to be in a group."""

    group_id: str
    member_id: str  # empty the first time
    client_id: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    protocols: Mapping[str, bytes]  # ways to share partitions, the preferred first, with what each needs to know
    is_asked_again: bool  # whether it comes again with the ID that it is given, before it is a member


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    """Who is in the group now. Its leader is told of all members, and shares the partitions out."""

    error: ErrorCode
    member_id: str = ""
    generation: int = -1
    protocol: str = ""
    leader: str = ""
    members: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    """What a member reads."""

    error: ErrorCode
    assignment: bytes = b""


class _Phase(Enum):
    EMPTY = auto()
    JOINING = auto()  # every member is to join again
    SYNCING = auto()  # the leader is to share out
    STABLE = auto()


@dataclass(slots=True)
class _Member:
    request: JoinRequest
    seen_s: float  # when it was last heard of, on the monotonic clock
    assignment: bytes = b""
    joining: "Future[JoinAnswer] | None" = None
    syncing: "Future[SyncAnswer] | None" = None


class _Group:
    """The members of one group."""

    def __init__(self) -> None:
        self.phase = _Phase.EMPTY
        self.generation = 0
        self.leader = ""
        self.protocol = ""
        self.members: dict[str, _Member] = {}
        self.promised: dict[str, float] = {}  # IDs that were given, and when each is taken back
        self.join_until_s = 0.0

    def join(self, request: JoinRequest) -> "Future[JoinAnswer]":
        """Take a member in, or have it join anew."""
        answer: Future[JoinAnswer] = get_running_loop().create_future()
        now_s = time.monotonic()
        member_id = request.member_id
        error = self._refusal(request)
        if error:
            answer.set_result(JoinAnswer(error, member_id))
            return answer
        if not member_id:
            member_id = f"{request.client_id}-{uuid4()}"
            if request.is_asked_again:
                self.promised[member_id] = now_s + request.session_timeout_ms / 1000
                answer.set_result(JoinAnswer(ErrorCode.MEMBER_ID_REQUIRED, member_id))
                return answer
        member = self.members.get(member_id)
        if member is not None and self._needs_no_change(member_id, member, request):
            member.request, member.seen_s = request, now_s
            answer.set_result(self._joined(member_id))
            return answer
        self.promised.pop(member_id, None)
        if member is None:
            member = self.members[member_id] = _Member(request, now_s)
        elif member.joining and not member.joining.done():
            member.joining.set_result(JoinAnswer(ErrorCode.UNKNOWN_MEMBER_ID, member_id))  # it has given this up
        member.request, member.seen_s, member.joining = request, now_s, answer
        self.rebalance()
        self.complete_join()
        return answer

    def _refusal(self, request: JoinRequest) -> ErrorCode:
        if request.member_id and request.member_id not in self.members and request.member_id not in self.promised:
            return ErrorCode.UNKNOWN_MEMBER_ID
        if len(self.members) + len(self.promised) >= _MEMBERS_MAX and not request.member_id:
            return ErrorCode.GROUP_MAX_SIZE_REACHED
        others = [member.request for name, member in self.members.items() if name != request.member_id]
        if others and others[0].protocol_type != request.protocol_type:
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        if not request.protocols or not self._common([*others, request]):
            return ErrorCode.INCONSISTENT_GROUP_PROTOCOL
        return ErrorCode.NONE

    @staticmethod
    def _common(requests: "list[JoinRequest]") -> list[str]:
        """Return the ways to share that all know, the first one's preferred ones first."""
        return [name for name in requests[0].protocols if all(name in request.protocols for request in requests)]

    def _needs_no_change(self, member_id: str, member: _Member, request: JoinRequest) -> bool:
        """Tell whether a member that joins anew is in its group as it is: it has missed an answer, or asks what is."""
        is_same = dict(member.request.protocols) == dict(request.protocols)
        return is_same and (self.phase is _Phase.SYNCING or (self.phase is _Phase.STABLE and member_id != self.leader))

    def rebalance(self) -> None:
        """Have every member join again."""
        if self.phase is _Phase.JOINING or not self.members:
            return
        for member in self.members.values():
            _answer(member, SyncAnswer(ErrorCode.REBALANCE_IN_PROGRESS))
        self.phase = _Phase.JOINING
        self.join_until_s = time.monotonic() + max(m.request.rebalance_timeout_ms for m in self.members.values()) / 1000

    def complete_join(self, *, overdue: bool = False) -> None:
        """Begin the next generation when every member has joined; `overdue` leaves out those who have not."""
        if self.phase is not _Phase.JOINING:
            return
        if overdue:
            self.members = {name: member for name, member in self.members.items() if member.joining}
        if not all(member.joining for member in self.members.values()):
            return
        self.generation += 1
        if not self.members:
            self.phase, self.leader = _Phase.EMPTY, ""
            return
        self.phase = _Phase.SYNCING
        if self.leader not in self.members:
            self.leader = next(iter(self.members))
        requests = [self.members[self.leader].request, *(member.request for member in self.members.values())]
        self.protocol = self._common(requests)[0]
        now_s = time.monotonic()
        for name, member in self.members.items():
            joining, member.joining, member.seen_s, member.assignment = member.joining, None, now_s, b""
            if joining and not joining.done():
                joining.set_result(self._joined(name))

    def _joined(self, member_id: str) -> JoinAnswer:
        told = self.members if member_id == self.leader else {}
        members = {name: member.request.protocols[self.protocol] for name, member in told.items()}
        return JoinAnswer(ErrorCode.NONE, member_id, self.generation, self.protocol, self.leader, members)

    def sync(self, member_id: str, generation: int, assignments: Mapping[str, bytes]) -> "Future[SyncAnswer]":
        """Take what the leader shares out, and tell each member what is its own."""
        answer: Future[SyncAnswer] = get_running_loop().create_future()
        error = self.judge(member_id, generation)
        if error:
            answer.set_result(SyncAnswer(error))
            return answer
        member = self.members[member_id]
        member.seen_s = time.monotonic()
        if self.phase is _Phase.JOINING:
            answer.set_result(SyncAnswer(ErrorCode.REBALANCE_IN_PROGRESS))
        elif self.phase is _Phase.STABLE:
            answer.set_result(SyncAnswer(ErrorCode.NONE, member.assignment))
        else:
            _answer(member, SyncAnswer(ErrorCode.UNKNOWN_MEMBER_ID))  # it has given this up
            member.syncing = answer
            if member_id == self.leader:
                self.phase = _Phase.STABLE
                for name, one in self.members.items():
                    one.assignment = assignments.get(name, b"")
                    _answer(one, SyncAnswer(ErrorCode.NONE, one.assignment))
        return answer

    def judge(self, member_id: str, generation: int) -> ErrorCode:
        """Return what is wrong with a member's request: it is no member, or one of another generation."""
        if member_id not in self.members:
            return ErrorCode.UNKNOWN_MEMBER_ID
        return ErrorCode.NONE if generation == self.generation else ErrorCode.ILLEGAL_GENERATION

    def heartbeat(self, member_id: str, generation: int) -> ErrorCode:
        """Note that a member lives, and tell it whether it has to join again."""
        error = self.judge(member_id, generation)
        if error:
            return error
        self.members[member_id].seen_s = time.monotonic()
        return ErrorCode.REBALANCE_IN_PROGRESS if self.phase is _Phase.JOINING else ErrorCode.NONE

    def leave(self, member_id: str) -> ErrorCode:
        """Let a member go; its partitions are shared among the others."""
        if self.promised.pop(member_id, None) is not None:
            return ErrorCode.NONE
        member = self.members.pop(member_id, None)
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        if member.joining and not member.joining.done():
            member.joining.set_result(JoinAnswer(ErrorCode.UNKNOWN_MEMBER_ID, member_id))
        _answer(member, SyncAnswer(ErrorCode.UNKNOWN_MEMBER_ID))
        if not self.members:
            self.phase, self.leader = _Phase.EMPTY, ""
            self.generation += 1
        self.rebalance()
        self.complete_join()
        return ErrorCode.NONE

    def expire(self, now_s: float) -> None:
        """Let go who was silent for too long, and wait no longer for who does not join."""
        self.promised = {name: until_s for name, until_s in self.promised.items() if until_s > now_s}
        for name, member in tuple(self.members.items()):
            # Who waits for an answer of the group's says nothing meanwhile.
            is_waiting = any(answer and not answer.done() for answer in (member.joining, member.syncing))
            if not is_waiting and now_s > member.seen_s + member.request.session_timeout_ms / 1000:
                self.leave(name)
        if now_s > self.join_until_s:
            self.complete_join(overdue=True)


def _answer(member: _Member, answer: SyncAnswer) -> None:
    syncing, member.syncing = member.syncing, None
    if syncing and not syncing.done():
        syncing.set_result(answer)


class GroupCoordinator:
    """Every group, and the offsets that each has committed."""

    def __init__(self, store: BrokerStore) -> None:
        self._groups: dict[str, _Group] = {}
        self._offsets: dict[str, dict[OffsetPlace, tuple[int, str]]] = {}
        for one in store.offsets():
            self._note(one.group_id, {(one.topic_key, one.partition): (one.next_offset, one.metadata)})

    def _note(self, group_id: str, offsets: Mapping[OffsetPlace, tuple[int, str]]) -> None:
        self._offsets.setdefault(group_id, {}).update(offsets)

    def join(self, request: JoinRequest) -> "Future[JoinAnswer]":
        """Take a member into its group; the answer comes when all its members have joined."""
        refused = self._refusal(request)
        if refused:
            answer: Future[JoinAnswer] = get_running_loop().create_future()
            answer.set_result(JoinAnswer(refused, request.member_id))
            return answer
        return self._groups.setdefault(request.group_id, _Group()).join(request)

    def _refusal(self, request: JoinRequest) -> ErrorCode:
        if not request.group_id or len(self._groups) >= _GROUPS_MAX:
            return ErrorCode.INVALID_GROUP_ID
        if not SESSION_TIMEOUT_MS_MIN <= request.session_timeout_ms <= SESSION_TIMEOUT_MS_MAX:
            return ErrorCode.INVALID_SESSION_TIMEOUT
        return ErrorCode.NONE

    def sync(
        self, group_id: str, member_id: str, generation: int, assignments: Mapping[str, bytes]
    ) -> "Future[SyncAnswer]":
        """Take what a leader shares out, or wait for it."""
        return self._groups.get(group_id, _Group()).sync(member_id, generation, assignments)

    def heartbeat(self, group_id: str, member_id: str, generation: int) -> ErrorCode:
        """Note that a member lives."""
        return self._groups.get(group_id, _Group()).heartbeat(member_id, generation)

    def leave(self, group_id: str, member_id: str) -> ErrorCode:
        """Let a member go."""
        return self._groups.get(group_id, _Group()).leave(member_id)

    def commit(
        self,
        group_id: str,
        member: tuple[str, int],
        offsets: Mapping[OffsetPlace, tuple[int, str]],
        journal: Journal,
        done: Callable[[ErrorCode], None],
    ) -> None:
        """Keep how far a group has come, for a member (ID, generation) or for nobody's ("", -1); tell `done`."""
        error = self._judge_commit(group_id, *member)
        if error:
            return done(error)
        statements: list[Statement] = [
            (COMMIT_OFFSET, (group_id, *place, offset, metadata)) for place, (offset, metadata) in offsets.items()
        ]

        def written(ok: bool) -> None:
            if ok:
                self._note(group_id, offsets)
            done(ErrorCode.NONE if ok else ErrorCode.KAFKA_STORAGE_ERROR)

        # What a machine's end took of them would only be read again, and is applied once.
        return journal.enter(statements, written, synced=False)

    def _judge_commit(self, group_id: str, member_id: str, generation: int) -> ErrorCode:
        group = self._groups.get(group_id)
        if generation < 0 and not member_id:
            return ErrorCode.UNKNOWN_MEMBER_ID if group and group.members else ErrorCode.NONE
        if group is None:
            return ErrorCode.ILLEGAL_GENERATION
        error = group.judge(member_id, generation)
        if not error and group.phase is _Phase.SYNCING:
            return ErrorCode.REBALANCE_IN_PROGRESS
        if not error:
            group.members[member_id].seen_s = time.monotonic()
        return error

    def offsets(self, group_id: str) -> Mapping[OffsetPlace, tuple[int, str]]:
        """Return how far a group has come: the next offset, with what the client noted beside it."""
        return self._offsets.get(group_id, {})

    def forget_topic(self, topic_key: int) -> None:
        """Forget the offsets of a topic that is gone."""
        for group_id, offsets in self._offsets.items():
            self._offsets[group_id] = {place: kept for place, kept in offsets.items() if place[0] != topic_key}

    def list(self) -> dict[str, str]:
        """Return each group's ID with the type of its protocol, which is empty without members."""
        types = {
            name: next((member.request.protocol_type for member in group.members.values()), "")
            for name, group in self._groups.items()
        }
        return {name: types.get(name, "") for name in {**self._offsets, **types}}

    def delete(self, group_id: str, journal: Journal, done: Callable[[ErrorCode], None]) -> None:
        """Forget a group without members, and tell `done`."""
        group = self._groups.get(group_id)
        if group and group.members:
            return done(ErrorCode.NON_EMPTY_GROUP)
        if group is None and group_id not in self._offsets:
            return done(ErrorCode.GROUP_ID_NOT_FOUND)
        self._groups.pop(group_id, None)
        self._offsets.pop(group_id, None)
        return journal.enter(
            [(FORGET_GROUP, (group_id,))], lambda ok: done(ErrorCode.NONE if ok else ErrorCode.KAFKA_STORAGE_ERROR)
        )

    def expire(self) -> None:
        """Let go who was silent for too long, and forget groups that have nobody in them."""
        now_s = time.monotonic()
        for name, group in tuple(self._groups.items()):
            group.expire(now_s)
            if not group.members and not group.promised:
                del self._groups[name]
