"""What every store does with a batch: split it so that order is kept, group it for the handlers, answer it.

A batch is what the lane hands over. Where it must not be applied all at once, it is split into smaller batches, which
are applied one after the other.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from polystream.v1.events_pb2 import CommandReceipt

from processor.model import Answer, Delivery, Unanswered
from processor.receipts import repeat


def split_batch(batch: Sequence[Delivery], *, keep_runs: bool) -> list[list[Delivery]]:
    """Split a batch into batches that, applied in turn, keep the order within every key.

    Each holds one delivery of a key at the most. With `keep_runs` it may hold several of a key where they follow one
    another and are of the same command, so that a person's hundred views are one insertion.
    """
    batches: list[list[Delivery]] = []
    latest: dict[bytes, tuple[int, str]] = {}  # by key: the batch and the command of its latest delivery
    for delivery in batch:
        position, command = latest.get(delivery.key, (-1, ""))
        if not keep_runs or command != delivery.command.name:
            position += 1
        latest[delivery.key] = (position, delivery.command.name)
        if position == len(batches):
            batches.append([])
        batches[position].append(delivery)
    return batches


def group_by_command(batch: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Yield what handlers are given: the deliveries of one command each, in the batch's order."""
    groups: dict[str, list[Delivery]] = {}
    for delivery in batch:
        groups.setdefault(delivery.command.name, []).append(delivery)
    yield from groups.values()


def without_repetitions(batch: Sequence[Delivery]) -> dict[str, Delivery]:
    """Return the first delivery of each command, by correlation ID, in the batch's order."""
    first: dict[str, Delivery] = {}
    for delivery in batch:
        first.setdefault(delivery.correlation_id, delivery)
    return first


def answer_batch(
    batch: Sequence[Delivery],
    earlier: Mapping[str, CommandReceipt],
    made: Mapping[str, CommandReceipt],
    passed: Collection[str] = (),
) -> list[Answer]:
    """Return one answer a delivery: of a command without a receipt that it is deferred, or was `passed` before.

    A command's first delivery gets the receipt that was made now, by correlation ID. Every other, and that of a
    command with an `earlier` receipt, gets a repetition.
    """
    answered = set(earlier)
    answers: list[Answer] = []
    for delivery in batch:
        id_ = delivery.correlation_id
        receipt = made.get(id_) or earlier.get(id_)
        if receipt is None:
            answers.append(Unanswered.PASSED if id_ in passed else Unanswered.DEFERRED)
        else:
            answers.append(repeat(receipt) if id_ in answered else receipt)
        answered.add(id_)
    return answers
