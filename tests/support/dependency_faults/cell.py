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
RECOVERED_MAX_S: Final = 30.0  # from the end of a cause until all is well, by itself

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
    told: tuple[Told, ...]  # each of these within 10 s; empty where the supervisor alone tells
    commands_go_on: frozenset[str] = STORES  # whose commands are accepted and applied during the fault
    queries_go_on: frozenset[str] = STORES  # whose queries are answered meanwhile
    recovered_max_s: float = RECOVERED_MAX_S

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


@dataclass(frozen=True, slots=True)
class HeldElsewhere:
    """A cell that another test holds: all that this table asks of it."""

    dependency: str
    state: State
    how: str
    file: str
    case: str  # text of that file by which it is found
