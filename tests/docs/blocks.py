"""The fenced blocks of the documentation's pages: what is to be run, and what it is to say.

- ```` ```bash ```` and ```` ```sh ```` blocks are commands, ```` ```python ```` blocks are programs.
- A block with `title="Output"` right after one shows what that one says: the shape of it, see `matches`.
- Another `title` is the name of a file that the block shows; it is not run.
- `<!-- not run: REASON -->` on a line before a block keeps it from being run.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

SHELLS: Final = ("bash", "sh")
_OUTPUT: Final = "Output"
_FENCE: Final = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)(?P<rest>.*)$")
_TITLE: Final = re.compile(r'title="([^"]*)"')
_NOT_RUN: Final = re.compile(r"^ *<!-- not run: (.+) -->$")
_SNIPPET: Final = re.compile(r'^( *)--8<-- "([^"]+)"$', re.MULTILINE)
_ANY: Final = "…"  # in an output: whatever stands there
# What differs from run to run: the number of hexadecimal digits of an identifier stays.
_VARIABLE: Final = re.compile(
    r"(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z)|(?P<date>\d{4}[.-]\d\d[.-]\d\d)"
    r"|(?P<hex>\b[0-9a-f]{32}\b)|(?P<number>\d+(?:\.\d+)?)|(?P<any>…)|(?P<space>\s+)"
)
_PATTERNS: Final = {
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "time": r"\d{4}-\d\d-\d\dT[\d:.]+Z",
    "date": r"\d{4}[.-]\d\d[.-]\d\d",
    "hex": r"[0-9a-f]{32}",
    "number": r"\d+(?:\.\d+)?",
    "any": r".*?",
    "space": r"\s+",
}


@dataclass(frozen=True, slots=True)
class Block:
    """One block to run."""

    page: str
    line: int  # where its fence is
    section: str  # the heading of the second level above it
    language: str
    text: str
    not_run: str = ""  # why
    output: str | None = None  # what it says, where the page shows it

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class _Fenced:
    line: int
    section: str
    language: str
    title: str
    text: str
    not_run: str
    follows: bool  # nothing but blank lines since the block before


def blocks_of(root: Path, page: str) -> list[Block]:
    """Return the blocks of a page that are to be run, in their order."""
    found: list[Block] = []
    last_run = False
    for fenced in _fenced(_with_snippets(root, (root / page).read_text(encoding="utf-8"))):
        if fenced.title == _OUTPUT:
            assert last_run, f"{page}:{fenced.line}: an output follows the block that has it"
            assert fenced.follows, f"{page}:{fenced.line}: an output stands right behind its block"
            found.append(replace(found.pop(), output=fenced.text))
            last_run = False
            continue
        last_run = not fenced.title and fenced.language in (*SHELLS, "python")
        if last_run:
            found.append(Block(page, fenced.line, fenced.section, fenced.language, fenced.text, fenced.not_run))
    return found


def matches(shown: str, said: str) -> bool:
    """Tell whether what was said has the shape of what is shown.

    Identifiers, times and numbers may be others, white space may differ, and `…` stands for anything.
    """
    return re.fullmatch(_pattern(shown.strip()), said.strip(), re.DOTALL) is not None


def _pattern(shown: str) -> str:
    parts: list[str] = []
    end = 0
    for found in _VARIABLE.finditer(shown):
        parts += [re.escape(shown[end : found.start()]), _PATTERNS[str(found.lastgroup)]]
        end = found.end()
    text = "".join([*parts, re.escape(shown[end:])])
    return text.replace(r"\s+.*?\s+", r"\s+(?:.*\s)?").replace(r"\s+.*?", r"(?:\s.*)?").replace(r".*?\s+", r"(?:.*\s)?")


def _with_snippets(root: Path, text: str) -> str:
    def included(found: re.Match[str]) -> str:
        return textwrap.indent((root / found[2]).read_text(encoding="utf-8").rstrip("\n"), found[1])

    return _SNIPPET.sub(included, text)


def _fenced(text: str) -> Iterator[_Fenced]:
    lines = text.splitlines()
    number, section, not_run, follows = 0, "", "", False
    while number < len(lines):
        line = lines[number]
        fence = _FENCE.match(line)
        if fence is None:
            note = _NOT_RUN.match(line)
            if note is not None:
                not_run = note[1]
            elif line.strip():
                section = line[3:].strip() if line.startswith("## ") else section
                not_run, follows = "", False
            number += 1
            continue
        begin = number
        number += 1
        body: list[str] = []
        while lines[number].strip() != "```":
            body.append(lines[number])
            number += 1
        number += 1
        title = _TITLE.search(fence["rest"])
        block = textwrap.dedent("\n".join(body)) + "\n"
        yield _Fenced(begin + 1, section, fence["language"], title[1] if title else "", block, not_run, follows)
        not_run, follows = "", True
