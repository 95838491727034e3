"""What was found in the end: the stores' rows, the topics' records, and the operations as each door tells them."""

from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

USERS: Final = "usuarios"
SUBSCRIPTIONS: Final = "assinaturas"
PAYMENTS: Final = "pagamentos"
PREFERENCES: Final = "preferencias"
VIEWS: Final = "historico_visualizacao"
RECOMMENDATIONS: Final = "recomendacoes"
SESSIONS: Final = "sessao"
CONTENTS: Final = "conteudo"
STORE_OF: Final[Mapping[str, str]] = {
    **dict.fromkeys((USERS, SUBSCRIPTIONS, PAYMENTS, PREFERENCES), "POSTGRESQL"),
    **dict.fromkeys((VIEWS, RECOMMENDATIONS), "MONGODB"),
    **dict.fromkeys((SESSIONS, CONTENTS), "REDIS"),
}


@dataclass(frozen=True, slots=True)
class StoredItem:
    """A row, a document or a hash.

    `identity` tells which command made it, as far as the table can tell: a payment's amount, a view's ID; where there
    is one item at the most, it is the entity. `values` are the others that commands set. `stamp` is what the answer of
    the command that wrote it last names too, such as its ID or its time: another application would have another one.
    """

    identity: Hashable
    values: tuple[object, ...] = ()
    stamp: int = 0  # 0 where answers have none

    def __str__(self) -> str:
        """Return it for people."""
        values = ", ".join(str(value) for value in self.values)
        stamp = f" (stamp {self.stamp})" if self.stamp else ""
        return f"{self.identity}{stamp}: {values}" if values else f"{self.identity}{stamp}"


Table = Mapping[str, Sequence[StoredItem]]  # by entity, in the store's order


@dataclass(frozen=True, slots=True)
class RecordAt:
    """A record of `user_events`."""

    partition: int
    offset: int
    key: str
    command: str


@dataclass(frozen=True, slots=True)
class ReceiptAt:
    """A record of `response_events`."""

    partition: int
    offset: int
    store: str
    state: str  # SUCCEEDED, FAILED
    reason: str  # empty where it succeeded
    duplicate: bool
    result: str  # the serialized result in hexadecimal digits
    stamp: int = 0  # what of its result the store's item has too: see StoredItem


@dataclass(frozen=True, slots=True)
class DeadLetterAt:
    """A record of `user_events.dlq`."""

    partition: int  # of the record that it is about, on `user_events`
    offset: int
    store: str
    correlation_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class ForeignRecord:
    """A record that the run itself has written to `user_events`, and that lanes must set apart."""

    kind: str
    partition: int
    offset: int
    stores: tuple[str, ...]  # whose lanes must


@dataclass(frozen=True, slots=True)
class StoreOutcome:
    """What one store has answered."""

    state: str  # SUCCEEDED, FAILED
    reason: str = ""  # why it failed

    def __str__(self) -> str:
        """Return it for people."""
        return self.reason or self.state


@dataclass(frozen=True, slots=True)
class ToldOperation:
    """An operation as one door tells it."""

    state: str
    reason: str = ""
    outcomes: Mapping[str, StoreOutcome] = field(default_factory=dict)  # by store
    took_s: float = 0.0  # from its acceptance to its last answer

    def __str__(self) -> str:
        """Return it for people."""
        stores = ", ".join(f"{store} {outcome}" for store, outcome in sorted(self.outcomes.items()))
        return f"{self.state}{f' {self.reason}' if self.reason else ''} ({stores or 'no store has answered'})"


@dataclass(frozen=True, slots=True)
class Image:
    """Everything that was found."""

    tables: Mapping[str, Table] = field(default_factory=dict)  # by name
    records: Mapping[str, Sequence[RecordAt]] = field(default_factory=dict)  # by correlation ID, in their order
    receipts: Mapping[str, Sequence[ReceiptAt]] = field(default_factory=dict)  # likewise
    dead_letters: Sequence[DeadLetterAt] = ()
    foreign: Sequence[ForeignRecord] = ()
    given_up: AbstractSet[str] = frozenset()  # correlation IDs of commands that a fault had a store give up
    told: Mapping[str, Mapping[str, ToldOperation]] = field(default_factory=dict)  # by correlation ID, then by door
    missing: Mapping[str, Sequence[str]] = field(default_factory=dict)  # of stories, by correlation ID
    exposed: Sequence[str] = ()  # where personal data was found that must not be there, in a few words each
    unwell: Sequence[str] = ()  # what was not well in the end, a sentence each

    def operation(self, correlation_id: str) -> ToldOperation | None:
        """Return an operation as gRPC tells it; None where it tells of none."""
        return self.told.get(correlation_id, {}).get("grpc")

    def outcome(self, correlation_id: str, store: str) -> StoreOutcome | None:
        """Return what a store has answered, by its first receipt; by the operation where the topic has none."""
        for receipt in self.receipts.get(correlation_id, ()):
            if receipt.store == store:
                return StoreOutcome(receipt.state, receipt.reason)
        told = self.operation(correlation_id)
        return told.outcomes.get(store) if told is not None else None

    def stamp(self, correlation_id: str) -> int:
        """Return the stamp that a command was answered with; 0 where it has none."""
        return next((receipt.stamp for receipt in self.receipts.get(correlation_id, ()) if receipt.stamp), 0)
