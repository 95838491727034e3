"""A Bloom filter of a span's attributes: in 16 bytes, which of them it can have.

An index of attributes by name and value would have ten entries a span. These two numbers stand in the index that a
search reads anyway, and rule nearly every span out that has not got the attribute: of spans with nine attributes each,
2 in 100 stay by chance, whose documents are then read.
"""

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

COLUMNS: Final = ("attribute_bits_low", "attribute_bits_high")
_BITS: Final = 126  # two numbers of SQLite's, which have a sign
_HALF_BITS: Final = 63
_HALF: Final = (1 << _HALF_BITS) - 1
_CACHED_MAX: Final = 4096  # pairs that are kept hashed: most of them come again with every span


def bits_of(attributes: Mapping[str, str]) -> tuple[int, int]:
    """Return the filter that has all attributes which are not empty, in two numbers of 63 bits.

    One bit is a name's, and three are a name's with its value. They stay the same between versions.
    """
    bits = 0
    for name, value in attributes.items():
        if value:
            bits |= _pair(name, value)
    return bits & _HALF, bits >> _HALF_BITS


def name_bits(name: str) -> tuple[int, int]:
    """Return what is in the filter of every span that has an attribute, whatever its value."""
    mark = 1 << zlib.crc32(name.encode()) % _BITS
    return mark & _HALF, mark >> _HALF_BITS


@lru_cache(_CACHED_MAX)
def _pair(name: str, value: str) -> int:
    seed = zlib.crc32(name.encode())
    number = zlib.crc32(value.encode(), seed)
    return 1 << seed % _BITS | 1 << number % _BITS | 1 << (number >> 8) % _BITS | 1 << (number >> 16) % _BITS
