"""What is to be run."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WaitLimits:
    """How long a run waits, in seconds, before it takes what is not there for what never comes."""

    operation_s: float = 120.0  # for an operation that a client's next command needs
    # For each step in the end. A lane's consumer that librdkafka has left outside its group is made anew after 30 s;
    # commands whose user can't be told wait for 60 s.
    quiet_s: float = 150.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """All that a plan follows from."""

    seed: int
    engine_set: str
    commands: int
    duration_s: float
    lanes: int
    faults: Sequence[str]
    limits: WaitLimits = WaitLimits()

    @property
    def command_line(self) -> str:
        """The command that plans the same again."""
        return (
            f"polystream verify --engines {self.engine_set} --seed {self.seed} --commands {self.commands} "
            f"--duration-s {self.duration_s:g} --lanes {self.lanes} --faults {','.join(self.faults) or 'none'}"
        )
