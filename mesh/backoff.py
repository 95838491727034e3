"""One bounded exponential backoff, for every loop that tries again."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Pauses that double from `first_s` up to `max_s`, both in seconds.

    It only counts: whoever loops decides how to wait, so that each can still be told to stop.
    """

    first_s: float
    max_s: float
    _next_s: float = field(init=False)

    def __post_init__(self) -> None:
        if not 0 < self.first_s <= self.max_s:
            raise ValueError(f"a backoff needs 0 < first_s <= max_s, not {self.first_s} and {self.max_s}")
        self._next_s = self.first_s

    def next_s(self) -> float:
        """Return how long to pause now, in seconds; the next pause is twice as long, up to the bound."""
        pause_s = self._next_s
        self._next_s = min(pause_s * 2, self.max_s)
        return pause_s

    def reset(self) -> None:
        """Begin at the first pause again: what was tried has succeeded."""
        self._next_s = self.first_s
