"""Conditions on entries in memory: patterns, in a time that grows no faster than the text."""

import itertools
import sqlite3

import pytest

from monitor.listing.conditions import Matches, fulfils

_PATTERNS = [parts for count in (1, 2, 3, 4) for parts in itertools.product(("", "a", "ab", "B"), repeat=count)]
_TEXTS = [""] + ["".join(signs) for count in (1, 2, 3, 4, 5) for signs in itertools.product("abB", repeat=count)]


@pytest.mark.parametrize("ignores_case", [False, True], ids=["as it is", "whatever its case"])
def test_patterns_mean_what_they_mean_to_sqlite(ignores_case: bool) -> None:
    """Every short text, and every pattern with up to three stars."""
    operator, star = ("LIKE", "%") if ignores_case else ("GLOB", "*")
    with sqlite3.connect(":memory:") as sqlite:
        sqlite.execute("CREATE TABLE texts (text TEXT)")
        sqlite.executemany("INSERT INTO texts VALUES (?)", [(text,) for text in _TEXTS])
        query = f"SELECT text FROM texts WHERE text <> '' AND text {operator} ?"  # one of two words
        for parts in _PATTERNS:
            expected = {row[0] for row in sqlite.execute(query, (star.join(parts),))}
            found = {text for text in _TEXTS if fulfils({"error": text}, Matches("error", parts, ignores_case))}
            assert found == expected, parts
    sqlite.close()


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*b", "a*a*a*a*a*a*a*b*", "*aaaa*aaaa*aaaa*aaab*"])
def test_a_pattern_that_almost_matches_takes_no_time(pattern: str) -> None:
    """A search in memory goes through thousands of entries while a store is away."""
    assert not fulfils({"error": "a" * 10_000}, Matches("error", tuple(pattern.split("*"))))
    assert fulfils({"error": "a" * 10_000 + "b"}, Matches("error", tuple(pattern.split("*"))))


@pytest.mark.parametrize(
    ("text", "pattern", "is_found"),
    [
        ("NÃO\né isso", "*nÃo*ISSO", True),
        ("NÃO", "*não*", False),
        ("\u212a", "k", False),  # the sign of the kelvin, of which some tables make a k
        ("100% [a]_?", "*% [A]_?", True),
    ],
)
def test_only_the_case_of_ascii_is_ignored(text: str, pattern: str, is_found: bool) -> None:
    """As SQLite and OpenSearch do it; no character but the star means anything else."""
    assert fulfils({"error": text}, Matches("error", tuple(pattern.split("*")), ignores_case=True)) is is_found
