"""Users for tests: every one different, every CPF valid."""

import itertools
import random
from typing import Any, Final

_SERIAL: Final = itertools.count(1)
_RUN: Final = random.randrange(10**9)


def cpf() -> str:
    """Return a CPF with valid check digits that no other call returns."""
    digits = [int(digit) for digit in f"{(_RUN + next(_SERIAL)) % 10**9:09d}"]
    for length in (9, 10):
        total = sum(digit * (length + 1 - position) for position, digit in enumerate(digits[:length]))
        digits.append(total * 10 % 11 % 10)
    return "".join(map(str, digits))


def person() -> dict[str, Any]:
    """Return the fields of a user that does not exist yet, texts all, for callers that add others."""
    serial = next(_SERIAL)
    return {"name": f"Pessoa {serial}", "email": f"pessoa{_RUN}.{serial}@example.com", "cpf": cpf()}
