"""What a cell of the table of dependencies and states consists of."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Final

from tests.support.dependency_faults.world import World


class State(Enum):
    """What may be wrong with a dependency."""

    DOWN = "down"  # nothing listens
    SLOW = "slow"  # each answer comes seconds late
    REFUSING = "refusing"  # it answers that it will not
    FULL = "full"  # it has no room
    READ_ONLY = "read-only"  # it is read, and not written
    HALF_THERE = "half there"  # it accepts connections, and answers none, or not all


# What commands and queries need: the store that keeps them.
STORES: Final = frozenset({"postgresql", "mongodb", "redis"})
NOTHING: Final[frozenset[str]] = frozenset()

Cause = Callable[[World], AbstractContextManager[None]]  # the state lasts while the block runs


@dataclass(frozen=True, slots=True)
class Told:
    """A component of the platform's health that has to be told of: any of these words stands in its detail."""

    component: str
    words: tuple[str, ...] = ()  # none: whatever it says, it says something


@dataclass(frozen=True, slots=True)
class Cell:
    """One dependency in one state."""

    dependency: str
    state: State
    how: str  # how it is caused, for the reader and the test's name
    cause: Cause
    told: tuple[Told, ...]  # one of these within 10 s; empty where nothing that the platform does needs it now
    commands_go_on: frozenset[str] = STORES  # whose commands are accepted and applied during the fault
    queries_go_on: frozenset[str] = STORES  # whose queries are answered meanwhile

    @property
    def name(self) -> str:
        """The cell's name, the same in every process."""
        return "-".join(f"{self.dependency} {self.state.value} {self.how}".replace(",", "").split())


@dataclass(frozen=True, slots=True)
class NotMade:
    """A cell that no machine can make, and why."""

    dependency: str
    state: State
    why: str
