"""Small histories and what was found after them, made by hand: good ones, which a test then harms."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cli.verify import image
from cli.verify.checks import find_violations
from cli.verify.history import Answer, Attempt, CommandEntry, CommandHistory, Purpose
from cli.verify.image import (
    Image,
    ReceiptAt,
    RecordAt,
    StoredItem,
    StoreOutcome,
    ToldOperation,
)
from cli.verify.model import as_stored, simulate
from cli.verify.violations import Violation
from mesh.catalog import load_catalog

_COMMANDS = load_catalog().commands
_PARTITION = 3  # of every record: which one is Kafka's business
_DOORS = ("grpc", "rest", "longrunning", "explain")


class Story:
    """One entity's commands, each acknowledged, recorded and answered as it must be; tests change what they will."""

    def __init__(self, entity: str = "user 7") -> None:
        self.entity = entity
        self.entries: list[CommandEntry] = []
        self.records: dict[str, list[RecordAt]] = {}
        self.receipts: dict[str, list[ReceiptAt]] = {}
        self.told: dict[str, dict[str, ToldOperation]] = {}
        self.tables: dict[str, dict[str, list[StoredItem]]] = {name: {} for name in image.STORE_OF}
        self.others: dict[str, Any] = {}  # further fields of the image

    def command(
        self, name: str, fields: Mapping[str, Any], refused: Mapping[str, str] | str = "", stamp: int = 0
    ) -> CommandEntry:
        """Add a command. `refused` is the reason of every store, or of those that it names."""
        declared = _COMMANDS[name]
        serial = len(self.entries) + 1
        entry = CommandEntry(
            *(serial, 0, self.entity, name, fields),
            request_id=f"test-{self.entity}-{serial}",
            key=str(fields[declared.key_field]),
            stores=declared.stores,
        )
        entry.attempts.append(
            Attempt(
                Purpose.FIRST, "grpc", serial, serial + 0.5, Answer.ACKNOWLEDGED, correlation_id=entry.correlation_id
            )
        )
        reasons = dict.fromkeys(declared.stores, refused) if isinstance(refused, str) else refused
        self.entries.append(entry)
        self.records[entry.correlation_id] = [RecordAt(_PARTITION, serial, entry.key, name)]
        outcomes = {
            store: StoreOutcome("FAILED", reasons[store]) if reasons.get(store) else StoreOutcome("SUCCEEDED")
            for store in declared.stores
        }
        self.receipts[entry.correlation_id] = [
            ReceiptAt(_PARTITION, 10 * serial + number, store, outcome.state, outcome.reason, False, "", stamp)
            for number, (store, outcome) in enumerate(outcomes.items())
        ]
        reason = next((outcome.reason for outcome in outcomes.values() if outcome.reason), "")
        told = ToldOperation("FAILED" if reason else "SUCCEEDED", reason, outcomes)
        self.told[entry.correlation_id] = dict.fromkeys(_DOORS, told)
        return entry

    def store_all(self) -> None:
        """Put into the stores what the commands so far must have led to."""
        expected = simulate(self.entries, self.image())
        for name, items in expected.tables.items():
            self.tables[name][self.entity] = [as_stored(item) for item in items]

    def items(self, table: str) -> list[StoredItem]:
        """Return what a table has of the entity: a list that a test may change."""
        return self.tables[table].setdefault(self.entity, [])

    def image(self) -> Image:
        """Return what was found."""
        return Image(tables=self.tables, records=self.records, receipts=self.receipts, told=self.told, **self.others)

    def violations(self, **options: Any) -> list[Violation]:
        """Return what the checks find."""
        return find_violations(CommandHistory(self.entries), self.image(), **options)

    def kinds(self, **options: Any) -> list[str]:
        """Return the kinds of what the checks find."""
        return [violation.kind.name for violation in self.violations(**options)]

    def answer(self, entry: CommandEntry, store: str, reason: str) -> None:
        """Have a store answer otherwise than it did, at every door."""
        state = "FAILED" if reason else "SUCCEEDED"
        self.receipts[entry.correlation_id] = [
            replace(one, state=state, reason=reason) if one.store == store else one
            for one in self.receipts[entry.correlation_id]
        ]
        told = self.told[entry.correlation_id]["grpc"]
        outcomes = {**told.outcomes, store: StoreOutcome(state, reason)}
        failed = next((outcome.reason for outcome in outcomes.values() if outcome.reason), "")
        changed = ToldOperation("FAILED" if failed else "SUCCEEDED", failed, outcomes)
        self.told[entry.correlation_id] = dict.fromkeys(_DOORS, changed)


def person(user_id: int = 7, serial: int = 1) -> dict[str, Any]:
    """Return the fields of a CreateUser."""
    return {
        "user_id": user_id,
        "name": f"Pessoa {serial}",
        "email": f"p{serial}@example.com",
        "cpf": "52998224725",
    }


def payment(cents: int) -> dict[str, Any]:
    """Return the fields of a CreatePayment."""
    amount = {"currency_code": "BRL", "units": cents // 100, "nanos": cents % 100 * 10_000_000}
    return {"user_id": 7, "amount": amount, "method": "PIX"}


def view(title: str) -> dict[str, Any]:
    """Return the fields of a RecordView."""
    return {"user_id": 7, "content_id": 5, "title": title, "kind": "MOVIE", "watched_seconds": 60}


def content(title: str) -> dict[str, Any]:
    """Return the fields of a CacheContent."""
    return {"content_id": 5, "title": title, "kind": "MOVIE", "duration_seconds": 60}


def identities(items: Sequence[StoredItem]) -> list[object]:
    """Return what tells the items apart."""
    return [item.identity for item in items]
