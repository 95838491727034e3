"""What is to be run."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunOptions:
    """All that a plan follows from."""

    seed: int
    engine_set: str
    commands: int
    duration_s: float
    lanes: int
    faults: Sequence[str]

    @property
    def command_line(self) -> str:
        """The command that plans the same again."""
        return (
            f"polystream verify --engines {self.engine_set} --seed {self.seed} --commands {self.commands} "
            f"--duration-s {self.duration_s:g} --lanes {self.lanes} --faults {','.join(self.faults) or 'none'}"
        )
