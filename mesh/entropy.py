"""Random hexadecimal digits from the operating system, drawn in bulk: one system call for many commands."""

import os

_DRAWS = 256  # taken from the operating system at a time


class RandomDigits:
    """Gives random digits of one length. Safe between threads, and after a fork."""

    def __init__(self, random_bytes: int) -> None:
        self._bytes = random_bytes
        self._drawn: list[str] = []
        os.register_at_fork(after_in_child=self._drawn.clear)  # what the parent has drawn is the parent's

    def draw(self) -> str:
        """Return two digits for each random byte, never given before."""
        while True:
            try:
                return self._drawn.pop()
            except IndexError:
                digits, length = os.urandom(self._bytes * _DRAWS).hex(), self._bytes * 2
                self._drawn.extend(digits[at : at + length] for at in range(0, len(digits), length))
