"""The Bloom filter of a span's attributes: it misses nothing, rules most out, and stays the same between versions."""

import random

from monitor.listing.bloom import bits_of, name_bits
from monitor.listing.fields import attribute_pair, attribute_pairs, read_attribute_pair


def _attributes(chance: random.Random) -> dict[str, str]:
    """Return nine attributes of the usual names: four of few values, five of many."""
    few = {f"messaging.{name}": f"value {chance.randrange(3)}" for name in "abcd"}
    return few | {f"polystream.{name}": str(chance.getrandbits(60)) for name in "efghi"}


def _can_have(filter_bits: tuple[int, int], wanted: tuple[int, int]) -> bool:
    return all(kept & bits == bits for kept, bits in zip(filter_bits, wanted, strict=True))


def test_it_misses_nothing() -> None:
    """Whatever a span has, by its name and with its value."""
    chance = random.Random(3)
    for _ in range(500):
        attributes = _attributes(chance)
        kept = bits_of(attributes)
        assert all(0 <= half < 2**63 for half in kept)
        for name, value in attributes.items():
            assert _can_have(kept, bits_of({name: value}))
            assert _can_have(kept, name_bits(name))


def test_it_rules_nearly_everything_out() -> None:
    """A value that no span has stays by chance in fewer than one span of twenty."""
    chance = random.Random(5)
    filters = [bits_of(_attributes(chance)) for _ in range(2000)]
    wanted = [bits_of({"polystream.e": f"none {number}"}) for number in range(50)]
    stay = sum(_can_have(kept, bits) for kept in filters for bits in wanted)
    assert stay / (len(filters) * len(wanted)) < 0.05


def test_files_of_this_version_stay_readable() -> None:
    """The bits of an attribute are in the files that there are."""
    assert bits_of({}) == bits_of({"empty": ""}) == (0, 0)
    assert bits_of({"rpc.method": "CreateUser"}) == (1125899906859136, 562949953421312)
    assert bits_of({"só": "é"}) == (8388608, 2306)


def test_a_name_is_no_other_name_with_a_value() -> None:
    """Also where it has an equals sign or a backslash in it."""
    attributes = {"a": "b=c", "a=b": "c", "a\\": "=b", "\\=": "d"}
    pairs = attribute_pairs(attributes)
    assert len(set(pairs)) == 2 * len(attributes)
    assert {read_attribute_pair(pair) for pair in pairs} == {*attributes.items(), *((name, "") for name in attributes)}
    assert all(attribute_pair(*read_attribute_pair(pair)) == pair for pair in pairs)
