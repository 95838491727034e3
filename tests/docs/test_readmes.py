"""The README in Portuguese says what the English one says: the same sections, commands, tables and links, in order."""

import re
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[2]
_ENGLISH, _PORTUGUESE = (_ROOT / name for name in ("README.md", "README.pt-BR.md"))
_FENCED: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\]\(([^)]+)\)|<(https?://[^>]+)>")
_COMMENT: Final = re.compile(r"\s+#\s.*$", re.MULTILINE)
_CODE: Final = re.compile(r"`([^`]+)`")
_FIGURE: Final = re.compile(r"\d+(?:[.,]\d+)*")


def _sections(path: Path) -> list[str]:
    """Return the text of each section, the heading of the second level in front."""
    return re.split(r"^(?=## )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def _pairs() -> list[tuple[str, str]]:
    english, portuguese = _sections(_ENGLISH), _sections(_PORTUGUESE)
    assert len(english) == len(portuguese), "a section is missing, or is one too many"
    return list(zip(english, portuguese, strict=True))


def _names() -> list[str]:
    return [section.splitlines()[0].lstrip("# ") for section in _sections(_ENGLISH)]


@pytest.mark.parametrize("number", range(len(_names())), ids=_names())
def test_a_section_is_in_step(number: int) -> None:
    """Its commands are the same but for their comments; so are its links, items, tables, code and figures."""
    english, portuguese = _pairs()[number]
    assert _commands(portuguese) == _commands(english)
    assert _links(portuguese) == _links(english)
    assert _shape(portuguese) == _shape(english)
    assert sorted(_CODE.findall(_prose(portuguese))) == sorted(_CODE.findall(_prose(english)))
    assert _figures(portuguese) == _figures(english)


def test_pictures_have_the_same_lines() -> None:
    """What is drawn in characters is drawn alike."""
    drawn = [_FENCED.findall(path.read_text(encoding="utf-8"))[0][1].splitlines() for path in (_ENGLISH, _PORTUGUESE)]
    assert len(drawn[0]) == len(drawn[1]) > 5


def _commands(section: str) -> list[tuple[str, str]]:
    return [(language, _COMMENT.sub("", text)) for language, text in _FENCED.findall(section) if language]


def _links(section: str) -> list[str]:
    found = [first or second for first, second in _LINK.findall(section)]
    return [link for link in found if link not in {"README.md", "README.pt-BR.md"}]  # each leads to the other


def _shape(section: str) -> list[str]:
    """Return how each heading, item and row begins, a row with how many columns it has."""
    marks = re.findall(r"^(#+ |- |\|.*)", _prose(section), re.MULTILINE)
    return [f"row of {mark.count('|')}" if mark.startswith("|") else mark for mark in marks]


def _figures(section: str) -> list[str]:
    """Return the numbers, without their separators: Portuguese has them the other way round."""
    return sorted(re.sub(r"[.,]", "", figure) for figure in _FIGURE.findall(_prose(section)))


def _prose(section: str) -> str:
    return _FENCED.sub("", section)
