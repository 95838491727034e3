"""Every check of a run: the history beside what was found. Pure; each violation is found by one function here."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final

from cli.verify.history import Answer, CommandEntry, CommandHistory, Purpose
from cli.verify.image import Image, RecordAt, ToldOperation
from cli.verify.model import Expected, simulate
from cli.verify.table_checks import check_tables
from cli.verify.violations import Violation, ViolationKind, least_history

FINAL: Final = frozenset({"SUCCEEDED", "FAILED"})
_REUSED: Final = "REQUEST_ID_REUSED"


def find_violations(
    history: CommandHistory,
    found: Image,
    *,
    taken_emails: frozenset[str] = frozenset(),
    excused_reuses: AbstractSet[int] = frozenset(),
    excused_spans: AbstractSet[int] = frozenset(),
) -> list[Violation]:
    """Return every broken promise, with the least history that shows it.

    `taken_emails` are addresses of users whom nobody changes. `excused_reuses` are the serials of commands whose
    request ID was used for another request while Redis, which knows them, did not answer: nobody could tell then.
    `excused_spans` are those of commands whose spans may have been lost with a process that had them in memory.
    """
    taken = history.taken(found.records)
    violations: list[Violation] = []
    for entity, entries in taken.by_entity.items():
        expected = simulate(entries, found, taken_emails)
        violations += check_outcomes(expected)
        violations += check_tables(entity, entries, expected, found)
        violations += check_order(entity, entries, found)
        for entry in entries:
            violations += check_operation(entry, found, lacks_spans=entry.serial in excused_spans)
    violations += check_others(taken, found)
    for entry in history.entries:
        violations += check_attempts(entry, found, is_excused=entry.serial in excused_reuses)
    violations += check_dead_letters(taken, found)
    violations += check_strangers(history, found)
    violations += [Violation(ViolationKind.EXPOSED, "", f"{place} has personal data") for place in found.exposed]
    violations += [Violation(ViolationKind.UNWELL, "", sentence) for sentence in found.unwell]
    return [replace(one, history=least_history(one, history, found)) for one in violations]


def check_outcomes(expected: Expected) -> Iterator[Violation]:
    """Yield answers that a store must not give, after the commands before."""
    for one in expected.unexpected:
        permitted = " or ".join(sorted(one.permitted))
        sentence = f"{one.store} answered {one.entry.command} with {one.found}; it must be {permitted}"
        yield Violation(ViolationKind.OUTCOME, one.entry.entity, sentence, (one.entry.correlation_id,))


def check_order(entity: str, entries: Sequence[CommandEntry], found: Image) -> Iterator[Violation]:
    """Yield keys whose commands are on the topic in another order than they were acknowledged in."""
    by_key: dict[str, list[tuple[CommandEntry, RecordAt]]] = defaultdict(list)
    for entry in entries:
        records = found.records.get(entry.correlation_id)
        if records:
            by_key[entry.key].append((entry, records[0]))
    for key, placed in by_key.items():
        for (before, first), (after, second) in itertools.pairwise(placed):
            if first.partition != second.partition or first.offset > second.offset:
                sentence = (
                    f"of key {key}, {after.command} was acknowledged after {before.command}, and its record "
                    f"{second.partition}@{second.offset} is not behind {first.partition}@{first.offset}"
                )
                ids = (before.correlation_id, after.correlation_id)
                yield Violation(ViolationKind.ORDER, entity, sentence, ids)


def check_operation(entry: CommandEntry, found: Image, *, lacks_spans: bool = False) -> Iterator[Violation]:
    """Yield what is wrong with one acknowledged command's record, answers, operation and story."""

    def violation(kind: ViolationKind, sentence: str) -> Violation:
        return Violation(kind, entry.entity, f"{entry.command}: {sentence}", (entry.correlation_id,))

    if not found.records.get(entry.correlation_id):
        yield violation(ViolationKind.LOST, "its record is not on user_events")
    answers = _answers(entry, found)
    for store in entry.stores:
        if store not in answers:
            yield violation(ViolationKind.UNFINISHED, f"{store} has not answered on response_events")
        elif len(answers[store]) > 1:
            said = " and ".join(sorted(reason or state for state, reason, _ in answers[store]))
            yield violation(ViolationKind.ANSWERS, f"{store} answered with {said}, or with two results")
    for store in sorted(set(answers) - set(entry.stores)):
        yield violation(ViolationKind.STRANGE, f"{store} has answered, and is not concerned")
    doors = found.told.get(entry.correlation_id, {})
    told = doors.get("grpc")
    if told is None or told.state not in FINAL:
        yield violation(ViolationKind.UNFINISHED, f"the operation is {told.state if told else 'not told'}")
    elif any(_compared(other) != _compared(told) for other in doors.values()):
        said = "; ".join(f"{door}: {other}" for door, other in sorted(doors.items()))
        yield violation(ViolationKind.DOORS, said)
    else:
        yield from (violation(ViolationKind.UNFINISHED, sentence) for sentence in _incoherent(entry, told, answers))
    if missing := still_missing(found.missing.get(entry.correlation_id, ()), lacks_spans=lacks_spans):
        yield violation(ViolationKind.STORY, f"what is missing: {'; '.join(missing)}")


def still_missing(missing: Sequence[str], *, lacks_spans: bool) -> list[str]:
    """Return what is missing of a story, without spans where those may be lost: hops never are."""
    return [sentence for sentence in missing if not (lacks_spans and "span" in sentence)]


def check_others(taken: CommandHistory, found: Image) -> Iterator[Violation]:
    """Yield what the stores have of users and contents that no command was about."""
    for table, by_entity in found.tables.items():
        for entity in sorted(set(by_entity) - set(taken.by_entity)):
            items = "; ".join(map(str, by_entity[entity]))
            yield Violation(ViolationKind.STRANGE, entity, f"{table}: {items}, and no command was about it")


def check_attempts(entry: CommandEntry, found: Image, *, is_excused: bool) -> Iterator[Violation]:
    """Yield what is wrong with the gateway's own answers to one command."""

    def violation(kind: ViolationKind, sentence: str) -> Violation:
        return Violation(kind, entry.entity, f"{entry.command}: {sentence}", (entry.correlation_id,))

    for attempt in entry.attempts:
        if attempt.answer is Answer.ACKNOWLEDGED and attempt.correlation_id != entry.correlation_id:
            sentence = f"the operation of {entry.request_id} is {attempt.correlation_id} for one attempt"
            yield violation(ViolationKind.REQUEST_ID, sentence)
        if attempt.purpose is Purpose.OTHER:
            if attempt.answer is Answer.ACKNOWLEDGED and not is_excused:
                yield violation(ViolationKind.REQUEST_ID, "another request under its request ID was taken")
            elif attempt.answer is Answer.REFUSED and attempt.reason != _REUSED:
                yield violation(ViolationKind.REFUSED, f"another request was refused with {_said(attempt.reason)}")
        elif attempt.answer is Answer.REFUSED and attempt.reason != entry.refusal:
            yield violation(ViolationKind.REFUSED, f"refused with {_said(attempt.reason)} ({attempt.code})")
        elif attempt.answer is Answer.ACKNOWLEDGED and entry.refusal:
            yield violation(ViolationKind.REFUSED, f"taken, and it must be refused with {entry.refusal}")
    if entry.is_refused and not entry.is_acknowledged and found.records.get(entry.correlation_id):
        yield violation(ViolationKind.TRACE, "refused by the gateway, and its record is on user_events")


def check_dead_letters(taken: CommandHistory, found: Image) -> Iterator[Violation]:
    """Yield good commands that were set apart, and foreign records that were not."""
    wanted = {(one.partition, one.offset, store): one.kind for one in found.foreign for store in one.stores}
    there = {(one.partition, one.offset, one.store): one for one in found.dead_letters}
    for (partition, offset, store), kind in wanted.items():
        if (partition, offset, store) not in there:
            sentence = f"{kind} at {partition}@{offset}: the {store} lane has not set it apart"
            yield Violation(ViolationKind.SET_APART, "", sentence)
    for position, one in there.items():
        if position not in wanted and one.correlation_id not in found.given_up:
            entry = taken.by_id.get(one.correlation_id)
            what = entry.command if entry is not None else "a record that is no foreign one"
            sentence = f"{one.store} has set {what} at {one.partition}@{one.offset} apart: {one.reason}"
            entity = entry.entity if entry is not None else ""
            yield Violation(ViolationKind.SET_APART, entity, sentence, (one.correlation_id,) if entry else ())


def check_strangers(history: CommandHistory, found: Image) -> Iterator[Violation]:
    """Yield records on `user_events` that neither a client nor the run itself has sent."""
    foreign = {(one.partition, one.offset) for one in found.foreign}
    for correlation_id, records in found.records.items():
        if correlation_id in history.by_id:
            continue
        for record in records:
            if (record.partition, record.offset) not in foreign:
                sentence = f"{record.command} at {record.partition}@{record.offset} of key {record.key} is nobody's"
                yield Violation(ViolationKind.STRANGE, "", sentence)


_Answers = Mapping[str, AbstractSet[tuple[str, str, str]]]  # by store: state, reason, result


def _answers(entry: CommandEntry, found: Image) -> _Answers:
    """Return every different answer on `response_events`, by store."""
    by_store: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for receipt in found.receipts.get(entry.correlation_id, ()):
        by_store[receipt.store].add((receipt.state, receipt.reason, receipt.result))
    return by_store


def _incoherent(entry: CommandEntry, told: ToldOperation, by_store: _Answers) -> Iterator[str]:
    """Yield what does not fit: an operation is the sum of its stores' answers."""
    if set(told.outcomes) != set(entry.stores):
        yield f"the operation is {told}, and {', '.join(entry.stores)} are concerned"
        return
    for store, outcome in told.outcomes.items():
        answers = {(state, reason) for state, reason, _ in by_store.get(store, ())}
        if answers and (outcome.state, outcome.reason) not in answers:
            yield f"the operation says {outcome} of {store}, and no receipt does"
    failed = any(outcome.state == "FAILED" for outcome in told.outcomes.values())
    if failed != (told.state == "FAILED"):
        yield f"the operation is {told}"


def _compared(told: ToldOperation) -> tuple[object, ...]:
    outcomes = {store: (outcome.state, outcome.reason) for store, outcome in told.outcomes.items()}
    return told.state, told.reason, sorted(outcomes.items())


def _said(reason: str) -> str:
    return reason or "no reason"
