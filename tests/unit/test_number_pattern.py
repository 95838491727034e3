"""The patterns of whole numbers fit those of their range and no other."""

import random
import re

import pytest

from contracts.number_pattern import whole_numbers

_RANGES = [(0, 9), (1, 2**53 - 1), (0, 2**53 - 1), (-(2**63), 2**63 - 1), (5, 4321), (0, 60), (-9, 7), (-10, -3)]


@pytest.mark.parametrize(("least", "most"), _RANGES)
def test_pattern_fits_the_range(least: int, most: int) -> None:
    """Numbers in the range fit, its bounds included; their neighbours outside and any others do not."""
    pattern = re.compile(whole_numbers(least, most))
    draw = random.Random(1)
    numbers = {least, most, least - 1, most + 1, 0, 1, -1, 9, 10, 99, 100}
    numbers |= {draw.randint(least - 50, most + 50) for _ in range(500)}
    numbers |= {draw.randint(0, 10 ** draw.randint(1, 20)) for _ in range(500)}
    assert [n for n in numbers if (pattern.match(str(n)) is not None) != (least <= n <= most)] == []


@pytest.mark.parametrize("text", ["", "+1", "01", "1.0", "1e1", " 1", "1 ", "one", "0x1"])
def test_other_text_does_not_fit(text: str) -> None:
    """Signs, leading zeros, fractions and blanks are no whole number here."""
    assert re.fullmatch(whole_numbers(0, 1000), text) is None


def test_pattern_is_short_where_it_can_be() -> None:
    """Ranges between powers of ten take one part."""
    assert whole_numbers(0, 999) == "^(0|[1-9][0-9]{0,2})$"
