"""The languages of the pages: their texts, and how they write numbers.

A text is `<file>.<key>`: `overview.title` is `title` in `texts/<language>/overview.toml`. Words in braces are filled
in. `<key>_one` takes the place of `<key>` where there is one of what is counted. A table there is a family of words, by
the names that the platform has for them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

WORDING_FOLDER: Final = Path(__file__).parent / "texts"
DEFAULT: Final = "en"
NONE: Final = "-"  # stands for a value that there is not
# By the tag of RFC 5646: the name in the language itself, and its decimal sign.
NAMES: Final[Mapping[str, str]] = {"en": "English", "pt-BR": "Português"}
_DECIMAL_SIGNS: Final = {"en": ".", "pt-BR": ","}
_GROUP_SIGNS: Final = {"en": ",", "pt-BR": "."}
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Language:
    """One language. Its methods are what the templates write values with."""

    tag: str
    wording: Mapping[str, str]

    def text(self, key: str, **values: object) -> str:
        """Return a text, filled in. Raises KeyError for one that there is not."""
        return self.wording[key].format(**values) if values else self.wording[key]

    def counted(self, key: str, count: int, **values: object) -> str:
        """Return a text that says how many, filled in with `count`: that of the key, or of `<key>_one` for one."""
        return self.text(f"{key}_one" if count == 1 else key, count=self.number(count), **values)

    def word(self, family: str, name: str) -> str:
        """Return the word for a name of the platform's, such as a state; the name itself where there is none."""
        return self.wording.get(f"{family}.{name}", name)

    def number(self, value: float, decimals: int = 0) -> str:
        """Write a number: 12,345.6 or 12.345,6."""
        written = f"{value:,.{decimals}f}"
        swap = {",": _GROUP_SIGNS[self.tag], ".": _DECIMAL_SIGNS[self.tag]}
        return "".join(swap.get(sign, sign) for sign in written)

    def rate(self, per_s: float) -> str:
        """Write a rate, with as many decimals as say something."""
        return f"{self.number(per_s, 0 if per_s >= 100 or per_s == 0 else 1)}/s"

    def milliseconds(self, value: float | None) -> str:
        """Write a duration that is measured in milliseconds; a dash for none."""
        if value is None:
            return NONE
        if value >= 10_000:
            return f"{self.number(value / 1000, 1)} s"
        return f"{self.number(value, 0 if value >= 100 else 1)} ms"

    def age(self, seconds: float) -> str:
        """Write an age in its largest unit."""
        for size_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
            if seconds >= size_s:
                return f"{self.number(seconds / size_s, 0 if seconds >= 10 * size_s else 1)} {unit}"
        return f"{self.number(seconds)} s"


def load_languages(folder: Path = WORDING_FOLDER) -> Mapping[str, Language]:
    """Read every language, by its tag."""
    return {tag: Language(tag, _read(folder / tag)) for tag in NAMES}


def preferred(accept_language: str) -> str:
    """Return the language that a browser's header asks for (RFC 9110, section 12.5.4), among those there are."""
    best, best_weight = DEFAULT, 0.0
    for choice in accept_language.split(","):
        wanted, _, weight = choice.partition(";")
        found = _known(wanted.strip())
        rank = _weight(weight)
        if found is not None and rank > best_weight:
            best, best_weight = found, rank
    return best


def _known(wanted: str) -> str | None:
    primary = wanted.lower().partition("-")[0]
    return next((tag for tag in NAMES if tag.lower().partition("-")[0] == primary), None)


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _read(folder: Path) -> Mapping[str, str]:
    wording: dict[str, str] = {}
    for file in sorted(folder.glob("*.toml")):
        for key, text in tomllib.loads(file.read_text(encoding="utf-8")).items():
            if isinstance(text, Mapping):  # a family of words
                wording.update({f"{key}.{name}": word for name, word in text.items()})
            else:
                wording[f"{file.stem}.{key}"] = str(text)
    return wording
