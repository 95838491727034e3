"""What was sent and what was answered: the history that everything else is compared with."""

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mesh.ids import request_correlation_id

CALLER: Final = "anonymous"  # whose request IDs these are: the platform that is verified asks nobody to log in


class Answer(enum.Enum):
    """What a client knows after one attempt."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # whether the command was taken: it is sent again under the same request ID


class Purpose(enum.Enum):
    """Why an attempt was made."""

    FIRST = "first"
    RETRY = "retry"  # of one whose answer is unknown
    AGAIN = "again"  # the same once more, though it was acknowledged
    OTHER = "other"  # another request under the same request ID: it must be refused


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of a client, and its answer. Times are of the monotonic clock, since the load began."""

    purpose: Purpose
    door: str  # grpc, rest
    begin_s: float
    end_s: float
    answer: Answer
    code: str = ""  # gRPC's name of it, where it was not acknowledged
    reason: str = ""  # as in ErrorInfo
    correlation_id: str = ""  # where it was acknowledged


@dataclass(slots=True)
class CommandEntry:
    """One command of the history, with all its attempts."""

    serial: int  # unique in a run
    client: int
    entity: str  # `user 7` or `content 5`: whose commands one client sends, one after the other
    command: str  # the RPC's name
    fields: Mapping[str, Any]  # of its request, as JSON has them, without the request ID
    request_id: str
    key: str  # Kafka's
    stores: tuple[str, ...]
    refusal: str = ""  # the reason with which the gateway must refuse it; empty where it must take it
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def correlation_id(self) -> str:
        """What every attempt under its request ID is answered with."""
        return request_correlation_id(CALLER, self.request_id)

    @property
    def is_acknowledged(self) -> bool:
        """Whether any attempt was acknowledged, but for those with another request."""
        return any(a.answer is Answer.ACKNOWLEDGED for a in self.attempts if a.purpose is not Purpose.OTHER)

    @property
    def is_refused(self) -> bool:
        """Whether the gateway has refused it."""
        return any(a.answer is Answer.REFUSED for a in self.attempts if a.purpose is not Purpose.OTHER)


class CommandHistory:
    """All commands of a run, by entity and in the order in which they were sent."""

    def __init__(self, entries: Iterable[CommandEntry]) -> None:
        self.entries: Sequence[CommandEntry] = list(entries)
        self.by_entity: Mapping[str, Sequence[CommandEntry]] = _by_entity(self.entries)
        self.by_id: Mapping[str, CommandEntry] = {entry.correlation_id: entry for entry in self.entries}

    @property
    def acknowledged(self) -> Sequence[CommandEntry]:
        """The commands that were acknowledged."""
        return [entry for entry in self.entries if entry.is_acknowledged]

    def taken(self, recorded: Iterable[str]) -> "CommandHistory":
        """Return the commands that the platform has taken.

        Those are the acknowledged ones and, of the others, those whose correlation IDs are `recorded` on the topic:
        their clients have not heard of it.
        """
        known = set(recorded)
        return CommandHistory(
            entry
            for entry in self.entries
            if entry.is_acknowledged or (not entry.is_refused and entry.correlation_id in known)
        )


def _by_entity(entries: Iterable[CommandEntry]) -> Mapping[str, Sequence[CommandEntry]]:
    found: dict[str, list[CommandEntry]] = defaultdict(list)
    for entry in entries:
        found[entry.entity].append(entry)
    return {entity: sorted(of_one, key=lambda entry: entry.serial) for entity, of_one in found.items()}
