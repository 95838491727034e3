"""The pages' texts: every language has each of them, and none is there in vain."""

import re
import string
from pathlib import Path

import pytest

from monitor.pages.language import NAMES, WORDING_FOLDER, load_languages, preferred

PAGES = WORDING_FOLDER.parent
LANGUAGES = load_languages()
# A family of words is used by its name; a text by its key, whole or as a beginning that is completed.
FAMILY = re.compile(r'word\("(\w+)"')
KEY = re.compile(r"""["']([a-z_]+\.[a-z_0-9]+)["']""")
COUNTED = re.compile(r'counted\("([a-z_]+\.[a-z_0-9]+)"')
BEGINNING = re.compile(r'"([a-z_]+\.[a-z_]+_)" ~')


def _sources() -> str:
    files: list[Path] = [*PAGES.rglob("*.html"), *PAGES.rglob("*.py")]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _families(tag: str) -> set[str]:
    lines = "\n".join(file.read_text(encoding="utf-8") for file in (WORDING_FOLDER / tag).glob("*.toml"))
    return set(re.findall(r"^\[(\w+)\]$", lines, re.MULTILINE))


@pytest.mark.parametrize("tag", NAMES)
def test_every_language_has_the_same_texts(tag: str) -> None:
    """The same keys, each with the same words to fill in, and none empty."""
    expected, found = LANGUAGES["en"].wording, LANGUAGES[tag].wording
    assert set(found) == set(expected)
    for key, text in found.items():
        assert text.strip(), key
        assert _places(text) == _places(expected[key]), key


def test_every_text_is_used_and_every_used_one_is_there() -> None:
    """A text that no page shows is dead, and one that a page lacks would be an error in front of a person."""
    sources, texts, families = _sources(), set(LANGUAGES["en"].wording), _families("en")
    used_families = set(FAMILY.findall(sources))
    assert used_families == families
    plain = {key for key in texts if key.partition(".")[0] not in families}
    titles = {f"{file.stem}.title" for file in (PAGES / "templates").glob("*.html")} & plain
    beginnings = tuple(BEGINNING.findall(sources))
    for_one = {f"{key}_one" for key in COUNTED.findall(sources)}
    assert for_one - plain == set()
    used = set(KEY.findall(sources)) | titles | for_one
    assert {key for key in plain - used if not (beginnings and key.startswith(beginnings))} == set()
    in_texts = {
        key for key in KEY.findall(sources) if key.partition(".")[0] in {text.partition(".")[0] for text in plain}
    }
    assert {key for key in in_texts - plain if key not in beginnings and not key.endswith(".html")} == set()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "en"),
        ("pt", "pt-BR"),
        ("pt-PT,pt;q=0.9", "pt-BR"),
        ("de;q=1, pt-BR;q=0.4, en;q=0.5", "en"),
        ("fr, *;q=0.1", "en"),
        ("pt;q=oops", "en"),
    ],
)
def test_the_browsers_language_is_followed(header: str, expected: str) -> None:
    """As far as there is one that it asks for."""
    assert preferred(header) == expected


@pytest.mark.parametrize(
    ("tag", "number", "duration", "rate", "age"),
    [
        ("en", "12,345.6", "12.3 s", "0.2/s", "1.5 min"),
        ("pt-BR", "12.345,6", "12,3 s", "0,2/s", "1,5 min"),
    ],
)
def test_numbers_are_written_as_the_language_does(tag: str, number: str, duration: str, rate: str, age: str) -> None:
    """With its decimal sign, and its sign between thousands."""
    language = LANGUAGES[tag]
    assert language.number(12_345.6, 1) == number
    assert language.milliseconds(12_345) == duration
    assert language.rate(0.23) == rate
    assert language.age(90) == age


@pytest.mark.parametrize(
    ("tag", "texts"),
    [
        ("en", ["0 dead letters", "1 dead letter in", "2 dead letters", "1,000 dead letters"]),
        ("pt-BR", ["0 dead letters", "1 dead letter nos", "2 dead letters", "1.000 dead letters"]),
    ],
)
def test_one_is_not_many(tag: str, texts: list[str]) -> None:
    """What counts has a text of its own for one; numbers are as the language writes them."""
    for count, text in zip((0, 1, 2, 1000), texts, strict=True):
        assert LANGUAGES[tag].counted("overview.dead_lately", count, minutes=5).startswith(text)


def _places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
