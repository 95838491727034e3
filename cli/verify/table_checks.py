"""Compares what a table holds of a entity with what its commands must have led to. Pure."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence

from cli.verify import image
from cli.verify.history import CommandEntry
from cli.verify.image import Image, StoredItem
from cli.verify.model import SUCCEEDED, Expected, ExpectedItem, as_stored
from cli.verify.violations import Violation, ViolationKind
from cli.verify.workload import cents_of

_ORDERED = frozenset({image.SUBSCRIPTIONS, image.PAYMENTS})  # their rows are numbered as they are made


def check_tables(entity: str, entries: Sequence[CommandEntry], expected: Expected, found: Image) -> Iterator[Violation]:
    """Yield what is wrong with a entity's rows, documents and hashes."""
    for table in image.STORE_OF:
        yield from _TableCheck(table, entity, entries, expected, found).run()


class _TableCheck:
    """One table, one entity."""

    def __init__(
        self, table: str, entity: str, entries: Sequence[CommandEntry], expected: Expected, found: Image
    ) -> None:
        self._table = table
        self._entity = entity
        self._expected = {item.identity: item for item in expected.tables[table]}
        self._gone: Mapping[Hashable, ExpectedItem] = {item.identity: item for item in expected.gone[table]}
        self._erased = expected.erased
        self._items = found.tables.get(table, {}).get(entity, ())
        self._makers = _makers(table, entries)
        self._entries = entries
        self._found = found

    def run(self) -> Iterator[Violation]:
        times = Counter(item.identity for item in self._items)
        seen: set[Hashable] = set()
        for item in self._items:
            if item.identity in seen:
                continue
            seen.add(item.identity)
            expected = self._expected.get(item.identity)
            if expected is None:
                yield self._unexpected(item)
            elif times[item.identity] > 1:
                sentence = f"{item} is there {times[item.identity]} times"
                yield self._violation(ViolationKind.TWICE, sentence, expected.made_by)
            else:
                yield from self._compare(item, expected)
        for identity, expected in self._expected.items():
            if identity not in seen:
                yield self._absent(expected)
        yield from self._out_of_order()

    def _absent(self, expected: ExpectedItem) -> Violation:
        sentence = f"{as_stored(expected)} is not there"
        return self._violation(ViolationKind.LOST, sentence, expected.made_by)

    def _unexpected(self, item: StoredItem) -> Violation:
        gone = self._gone.get(item.identity)
        if gone is not None and gone.made_by in self._erased:
            sentence = f"{item} is there, and DeleteUser has erased its user"
            return self._violation(ViolationKind.HALF, sentence, gone.made_by)
        if gone is not None:
            sentence = f"{item} is there, and a later command has taken it away"
            return self._violation(ViolationKind.ORDER, sentence, gone.made_by)
        maker = self._makers.get(item.identity)
        if maker is not None:
            sentence = f"{item} is there, and its command was refused"
            return self._violation(ViolationKind.TRACE, sentence, maker.correlation_id)
        if self._table == image.SUBSCRIPTIONS and self._may_be_repeated(item):
            sentence = f"{item} is there, and no answer names it: a command that was answered with another row"
            return self._violation(ViolationKind.TWICE, sentence)
        return self._violation(ViolationKind.STRANGE, f"{item} is there, and no command has made it")

    def _may_be_repeated(self, item: StoredItem) -> bool:
        """Tell whether a subscription of the same plan was made under another ID."""
        applied = (*self._expected.values(), *self._gone.values())
        return any(other.values[0] == item.values[0] for other in applied)

    def _compare(self, item: StoredItem, expected: ExpectedItem) -> Iterator[Violation]:
        if item.values != expected.values:
            if item.values in expected.past:
                kind, why = ViolationKind.ORDER, "which it was before a later command changed it"
            elif self._is_of_refused(item, expected):
                kind, why = ViolationKind.TRACE, "which a refused command has asked for"
            else:
                kind, why = ViolationKind.WRONG, "which its commands do not lead to"
            wanted = ", ".join(map(str, expected.values))
            yield self._violation(kind, f"{item}, {why}; it must be {wanted}", expected.made_by)
        elif expected.stamp and item.stamp and item.stamp != expected.stamp:
            sentence = f"{item} is of another application than the one that was answered, {expected.stamp}"
            yield self._violation(ViolationKind.TWICE, sentence, expected.made_by)

    def _is_of_refused(self, item: StoredItem, expected: ExpectedItem) -> bool:
        """Tell whether a value is one that only a refused command has."""
        strange = {str(value) for value in item.values} - {str(value) for value in expected.values}
        store = image.STORE_OF[self._table]
        for entry in self._entries:
            outcome = self._found.outcome(entry.correlation_id, store)
            asked = {str(value) for value in entry.fields.values()}
            if outcome is not None and outcome.state != SUCCEEDED and strange & asked:
                return True
        return False

    def _out_of_order(self) -> Iterator[Violation]:
        if self._table not in _ORDERED:
            return
        there = {item.identity for item in self._items}
        wanted = [identity for identity in self._expected if identity in there]
        found = list(dict.fromkeys(item.identity for item in self._items if item.identity in self._expected))
        if wanted != found:
            first = next(place for place, pair in enumerate(zip(wanted, found, strict=True)) if pair[0] != pair[1])
            sentence = f"{found[first]} comes before {wanted[first]}, whose command was acknowledged earlier"
            yield self._violation(ViolationKind.ORDER, sentence, self._expected[found[first]].made_by)

    def _violation(self, kind: ViolationKind, sentence: str, *correlation_ids: str) -> Violation:
        store = image.STORE_OF[self._table]
        return Violation(kind, self._entity, f"{store}, {self._table}: {sentence}", correlation_ids, self._table)


def _makers(table: str, entries: Sequence[CommandEntry]) -> Mapping[Hashable, CommandEntry]:
    """Return the commands that would make an item, by the identity that it would have, the earliest of each."""
    makers: dict[Hashable, CommandEntry] = {}
    for entry in entries:
        identity: Hashable = None
        match (table, entry.command):
            case (image.PAYMENTS, "CreatePayment"):
                identity = cents_of(entry.fields["amount"])
            case (
                (image.VIEWS, "RecordView")
                | (image.SESSIONS, "CreateSession")
                | (image.RECOMMENDATIONS, "GenerateRecommendations")
            ):
                identity = entry.correlation_id
            case (
                (image.USERS, "CreateUser")
                | (image.PREFERENCES, "UpdatePreferences")
                | (image.CONTENTS, "CacheContent")
            ):
                identity = entry.entity
        if identity is not None:
            makers.setdefault(identity, entry)
    return makers
