"""Regular expressions of the whole numbers in a range, as decimal text."""

import re

_FREE = re.compile(r"^\[1-9\](?:(\[0-9\])(?:\{(\d+)\})?)?$")


def whole_numbers(least: int, most: int) -> str:
    """Return an anchored pattern of what stands for a number from `least` to `most`, without leading zeros."""
    negative = [f"-{part}" for part in _positive(max(-most, 1), -least)]
    zero = ["0"] if least <= 0 <= most else []
    return f"^({'|'.join([*negative, *zero, *_positive(max(least, 1), most)])})$"


def _positive(least: int, most: int) -> list[str]:
    """Return patterns that together fit the numbers from `least` to `most`, of which `least` is above 0."""
    if least > most:
        return []
    # Between neighbours of these ends, each digit that differs is free from the others.
    ends = sorted({*_nines_above(least, most), *_nines_below(least, most), most})
    starts = [least, *(end + 1 for end in ends[:-1])]
    return _merged([_digits(str(low), str(high)) for low, high in zip(starts, ends, strict=True)])


def _nines_above(least: int, most: int) -> list[int]:
    """Return the next numbers that end in nines: 9, 99, 999 above 5."""
    ends, place = [], 10
    while (end := least - least % place + place - 1) < most:
        ends.append(end)
        place *= 10
    return ends


def _nines_below(least: int, most: int) -> list[int]:
    """Return the last numbers that end in nines: 4319, 4299, 3999 below 4321."""
    ends, place = [], 10
    while (end := (most + 1) - (most + 1) % place - 1) > least:
        ends.append(end)
        place *= 10
    return ends


def _digits(low: str, high: str) -> str:
    """Return the pattern of a range in which each digit is free from the others."""
    fixed = next((i for i, (a, b) in enumerate(zip(low, high, strict=True)) if a != b), len(low))
    text = low[:fixed] + "".join(f"[{a}-{b}]" for a, b in zip(low[fixed:], high[fixed:], strict=True))
    free = text.count("[0-9]")
    return text.replace("[0-9]" * free, f"[0-9]{{{free}}}") if free > 1 else text


def _merged(parts: list[str]) -> list[str]:
    """Write `[1-9]`, `[1-9][0-9]`, `[1-9][0-9]{2}` and so on as one."""
    free = [match for match in map(_FREE.match, parts) if match is not None]
    if len(free) < 2:
        return parts
    lengths = [int(match[2] or 1) if match[1] else 0 for match in free]
    span = f"[1-9][0-9]{{{min(lengths)},{max(lengths)}}}"
    rest = [part for part in parts if _FREE.match(part) is None]
    return [*rest[: parts.index(free[0][0])], span, *rest[parts.index(free[0][0]) :]]
