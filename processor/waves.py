"""The order in which a batch is applied: set-wise where it may be, one after the other where it must."""

from collections.abc import Iterator, Sequence

from mesh.catalog import Command
from processor.model import Delivery


def split_waves(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """Split a batch in waves in which every key occurs once; applied in turn, they keep the order within a key."""
    waves: list[list[Delivery]] = []
    seen: dict[bytes, int] = {}
    for delivery in batch:
        position = seen.get(delivery.key, 0)
        seen[delivery.key] = position + 1
        if position == len(waves):
            waves.append([])
        waves[position].append(delivery)
    return waves


def groups(batch: Sequence[Delivery]) -> Iterator[tuple[Command, list[Delivery]]]:
    """Yield the batch wave by wave, each wave as one group a command: what a handler takes at once."""
    for wave in split_waves(batch):
        by_command: dict[str, list[Delivery]] = {}
        for delivery in wave:
            by_command.setdefault(delivery.command.name, []).append(delivery)
        for group in by_command.values():
            yield group[0].command, group
