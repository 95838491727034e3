"""The grammar of AIP-160's filters: text in, a tree out that knows nothing of fields yet.

https://google.aip.dev/160 and the EBNF that it names. `OR` binds closer than `AND`, as that says; two terms without a
word between them are joined as by `AND`. There are no functions.
"""

import re
from dataclasses import dataclass
from typing import Final

from mesh.errors import FieldFault, PolystreamError, Reason

MAX_CHARACTERS: Final = 2000
MAX_TERMS: Final = 50
MAX_DEPTH: Final = 10  # of parentheses in one another
MAX_STARS: Final = 8  # in one value

_KEYWORDS: Final = ("AND", "OR", "NOT")
_NAME: Final = re.compile(r"""[^\s()"',=!<>:]+""")
_VALUE: Final = re.compile(r"""[^\s()"',]+""")
_COMPARATOR: Final = re.compile(r"<=|>=|!=|<|>|=|:")
_SPACE: Final = re.compile(r"\s*")
_COMPARATORS_ARE: Final = "one of = != < <= > >= : has to follow the name of a field"


@dataclass(frozen=True, slots=True)
class FilterValue:
    """What is compared with: its parts between the stars, which stand for anything; one part without a star."""

    parts: tuple[str, ...]
    at: int  # its first character in the filter, from 1

    @property
    def text(self) -> str:
        """The value as text, with its stars."""
        return "*".join(self.parts)

    @property
    def is_star(self) -> bool:
        """Whether it is a star alone, which stands for any value there is."""
        return self.parts == ("", "")


@dataclass(frozen=True, slots=True)
class Restriction:
    """A field, how it is compared, and with what; a word alone has no field."""

    path: tuple[str, ...]
    comparator: str  # empty for a word alone
    value: FilterValue
    at: int


@dataclass(frozen=True, slots=True)
class Negation:
    """What must not be."""

    term: "FilterTree"


@dataclass(frozen=True, slots=True)
class Junction:
    """Terms that all have to be true, or one of them."""

    terms: tuple["FilterTree", ...]
    needs_all: bool


FilterTree = Restriction | Negation | Junction


def parse_filter(text: str) -> FilterTree | None:
    """Return the tree of a filter; None for an empty one.

    Raises PolystreamError INVALID_FIELD, which names `filter`, the character and what would be right there.
    """
    if len(text) > MAX_CHARACTERS:
        raise filter_fault(MAX_CHARACTERS + 1, f"a filter has {MAX_CHARACTERS} characters at the most", "too_long")
    if "\0" in text:
        raise filter_fault(text.index("\0") + 1, "there is a character that no value has", "syntax")
    if not text.strip():
        return None
    parser = _Parser(text)
    tree = parser.expression(0)
    if not parser.is_at_end():
        raise parser.fault("a parenthesis is closed that was not opened")
    return tree


def filter_fault(at: int, description: str, rule: str) -> PolystreamError:
    """Return the error of a filter. It holds nothing of the filter itself: anybody may write anything into one."""
    fault = FieldFault("filter", f"at character {at}: {description}", f"filter.{rule}")
    return PolystreamError(Reason.INVALID_FIELD, faults=[fault])


class _Parser:
    """Reads a filter from its beginning to its end, once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._terms = 0

    def is_at_end(self) -> bool:
        self._skip_space()
        return self._at == len(self._text)

    def fault(self, description: str, rule: str = "syntax") -> PolystreamError:
        return filter_fault(self._at + 1, description, rule)

    def expression(self, depth: int) -> FilterTree:
        sequences = [self._sequence(depth)]
        while self._take_word("AND"):
            sequences.append(self._sequence(depth))
        return _joined(sequences, needs_all=True)

    def _sequence(self, depth: int) -> FilterTree:
        factors = [self._factor(depth)]
        while not self.is_at_end() and self._text[self._at] != ")" and not self._is_word("AND"):
            factors.append(self._factor(depth))
        return _joined(factors, needs_all=True)

    def _factor(self, depth: int) -> FilterTree:
        terms = [self._term(depth)]
        while self._take_word("OR"):
            terms.append(self._term(depth))
        return _joined(terms, needs_all=False)

    def _term(self, depth: int) -> FilterTree:
        self._skip_space()
        if self._take_word("NOT"):
            return Negation(self._simple(depth))
        if self._text.startswith("-", self._at):
            self._at += 1
            return Negation(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> FilterTree:
        if self.is_at_end():
            raise self.fault("a term is missing: a field with what it is compared with, or a word")
        if self._text[self._at] != "(":
            return self._restriction()
        if depth == MAX_DEPTH:
            raise self.fault(f"a filter has {MAX_DEPTH} parentheses in one another at the most", "too_deep")
        self._at += 1
        inner = self.expression(depth + 1)
        if self.is_at_end():
            raise self.fault("a parenthesis is not closed")
        self._at += 1
        return inner

    def _restriction(self) -> FilterTree:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise self.fault(f"a filter has {MAX_TERMS} terms at the most", "too_many_terms")
        start = self._at
        if any(self._is_word(word) for word in _KEYWORDS):
            raise self.fault("a term is missing: AND, OR and NOT stand before one; in quotes, they are words")
        first = self._quoted() if self._text[start] in "\"'" else None
        path: tuple[str, ...] = (first.text,) if first else ()
        if first is None or self._text.startswith(".", self._at):
            path += self._path(is_begun=first is not None)
        if self._text.startswith("(", self._at):
            raise self.fault("there are no functions; a term in parentheses stands by itself")
        end = self._at
        self._skip_space()
        found = _COMPARATOR.match(self._text, self._at)
        if found is None:
            self._at = end
            if first is not None and len(path) == 1:
                return Restriction((), "", first, start + 1)
            return Restriction((), "", self._plain(start, end), start + 1)
        self._at = found.end()
        return Restriction(path, found.group(), self._value(), start + 1)

    def _path(self, *, is_begun: bool) -> tuple[str, ...]:
        """Read the names of a field that is in another one, with points between them; each may be in quotes."""
        found = _NAME.match(self._text, self._at)
        if found is None:
            raise self.fault(f"a term begins with a field or a word; {_COMPARATORS_ARE}")
        self._at = found.end()
        names = found.group().split(".")
        if is_begun:
            names = names[1:]
        while names[-1] == "" and self._at < len(self._text) and self._text[self._at] in "\"'":
            names[-1] = self._quoted().text
            more = _NAME.match(self._text, self._at)
            if more is not None and more.group().startswith("."):
                self._at = more.end()
                names += more.group().split(".")[1:]
        return tuple(names)

    def _value(self) -> FilterValue:
        if self.is_at_end():
            raise self.fault("a value is missing")
        if self._text[self._at] in "\"'":
            return self._quoted()
        found = _VALUE.match(self._text, self._at)
        if found is None:
            raise self.fault("a value is missing; in parentheses, there is none")
        self._at = found.end()
        return self._plain(found.start(), found.end())

    def _plain(self, start: int, end: int) -> FilterValue:
        return self._bounded(self._text[start:end].split("*"), start)

    def _quoted(self) -> FilterValue:
        """Read a text in quotes. A backslash takes the meaning from a quote, a star or a backslash."""
        start, quote = self._at, self._text[self._at]
        parts = [""]
        position = start + 1
        while position < len(self._text):
            character = self._text[position]
            position += 1
            if character == quote:
                self._at = position
                return self._bounded(parts, start)
            if character == "*":
                parts.append("")
                continue
            if character == "\\":
                character = self._text[position : position + 1]
                position += 1
            parts[-1] += character
        raise self.fault("a quote is not closed")

    def _bounded(self, parts: list[str], start: int) -> FilterValue:
        if len(parts) > MAX_STARS + 1:
            raise filter_fault(start + 1, f"a value has {MAX_STARS} stars at the most", "too_many_stars")
        kept = [part for number, part in enumerate(parts) if part or number in (0, len(parts) - 1)]
        return FilterValue(tuple(kept), start + 1)

    def _is_word(self, word: str) -> bool:
        if not self._text.startswith(word, self._at):
            return False
        behind = self._text[self._at + len(word) : self._at + len(word) + 1]
        return behind in ("", "(") or behind.isspace()

    def _take_word(self, word: str) -> bool:
        self._skip_space()
        if not self._is_word(word):
            return False
        self._at += len(word)
        return True

    def _skip_space(self) -> None:
        found = _SPACE.match(self._text, self._at)
        if found is not None:
            self._at = found.end()


def _joined(terms: list[FilterTree], *, needs_all: bool) -> FilterTree:
    return terms[0] if len(terms) == 1 else Junction(tuple(terms), needs_all)
