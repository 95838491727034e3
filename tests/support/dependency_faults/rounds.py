"""Which cells happen at once: of dependencies that do not need each other, so that each one's truth is told apart.

Stores go two at a time, and the third goes on. The registry and the event store are nobody's but the gateway's probe
and the monitor's. Kafka and the gateway are everybody's: theirs happen alone.
"""

from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from tests.support.dependency_faults import table
from tests.support.dependency_faults.cell import Cell


@dataclass(frozen=True, slots=True)
class FaultRound:
    """Cells that happen at once."""

    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The names of its cells: `-k` finds a round by each of them."""
        return "+".join(cell.name for cell in self.cells)

    @property
    def commands_go_on(self) -> frozenset[str]:
        """The stores whose commands none of the cells touches."""
        return frozenset.intersection(*(cell.commands_go_on for cell in self.cells))

    @property
    def queries_go_on(self) -> frozenset[str]:
        """The stores whose queries none of the cells touches."""
        return frozenset.intersection(*(cell.queries_go_on for cell in self.cells))

    @property
    def recovered_max_s(self) -> float:
        """How long after the end of the causes all is well at the latest."""
        return max(cell.recovered_max_s for cell in self.cells)


def _side_by_side(*columns: tuple[Cell, ...]) -> tuple[FaultRound, ...]:
    rows = zip_longest(*columns)
    return tuple(FaultRound(tuple(cell for cell in row if cell is not None)) for row in rows)


def _two_stores() -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
    """Return two columns in which each store meets both others."""
    postgresql, mongodb, redis = table.POSTGRESQL, table.MONGODB, table.REDIS
    half = len(postgresql) // 2
    first = (*postgresql[:half], *postgresql[half:], *mongodb[half:])
    second = (*mongodb[:half], *redis[:half], *redis[half:])
    return first, second


_OTHERS: Final = (*table.LANES_STILL[1:], table.LANES_STILL[0])  # another lane than the one that is killed
ROUNDS: Final = (
    *_side_by_side(*_two_stores(), (*table.EVENT_STORE, *table.JAEGER[3:]), table.REGISTRY),
    *_side_by_side(table.KAFKA),
    *_side_by_side(table.LANES_KILLED, _OTHERS, table.JAEGER[:3]),
    *_side_by_side(table.MONITOR),
    *_side_by_side(table.GATEWAY),
)
