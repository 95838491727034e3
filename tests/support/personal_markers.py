"""Known people, and the search for what is theirs in what a platform tells and keeps.

A person's name, e-mail address and CPF are looked for as they are and in the forms in which they get into other texts:
escaped as in JSON, as in an address or as in a page, and in Base64 and hexadecimal digits.
"""

import base64
import html
import json
import secrets
import sqlite3
import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.support.people import cpf

_LETTERS = 12  # of what makes a name and an address nobody else's
_AROUND_BYTES = 80  # of what is found
_CHUNK_BYTES = 8 << 20
_SQLITE = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """Somebody whose data must not be found."""

    name: str
    email: str
    cpf: str  # eleven digits

    @property
    def dotted_cpf(self) -> str:
        """The CPF as people write it."""
        return f"{self.cpf[:3]}.{self.cpf[3:6]}.{self.cpf[6:9]}-{self.cpf[9:]}"

    def needles(self, *, name: bool = True) -> list[bytes]:
        """Return what to look for, in lower case; without the name where that is no personal data."""
        texts = [self.email, self.email.partition("@")[0], self.cpf, self.dotted_cpf]
        texts += [self.name, *self.name.split()] if name else []
        return sorted({needle for text in texts for needle in _forms(text)})


def known_person() -> KnownPerson:
    """Return somebody whom no other call returns."""
    token = "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))
    return KnownPerson(f"Zu{token} D'Ávila{token}", f"mail{token}@{token}.example.com", cpf())


def _forms(text: str) -> Iterator[bytes]:
    written = {text, text.lower(), text.title()}
    for each in written:
        yield from (each.lower().encode(), json.dumps(each)[1:-1].lower().encode())
        yield from (quote(each, safe="").lower().encode(), html.escape(each).lower().encode())
        yield each.encode().hex().encode()
        for padding in range(3):  # where it begins within a group of three bytes, without what its neighbours change
            group = base64.b64encode(b"\0" * padding + each.encode())
            inner = group[(4 if padding else 0) : len(group) // 4 * 4 - 4]
            yield from (inner.lower(), inner.replace(b"+", b"-").replace(b"/", b"_").lower())


def found_in(needles: Iterable[bytes], content: bytes) -> list[str]:
    """Return what some bytes have of the needles, whatever the case of letters, each where it stands first."""
    lowered = content.lower()
    places = (lowered.find(needle) for needle in needles)
    return [
        content[max(0, at - _AROUND_BYTES) : at + _AROUND_BYTES].decode("utf-8", "replace") for at in places if at >= 0
    ]


def found_below(needles: list[bytes], folder: Path, but: Iterable[Path] = ()) -> dict[str, list[str]]:
    """Return what of the needles the files of a folder have, by path: their bytes, and the rows of databases.

    `but` are folders that are left out.
    """
    left_out = tuple(but)
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(each) for each in left_out) or not path.is_file():
            continue
        hits = [hit for content in _contents(path) for hit in found_in(needles, content)]
        hits += found_in(needles, str(path.relative_to(folder)).encode())
        if hits:
            found[str(path)] = hits
    return found


def _contents(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            is_database = file.read(len(_SQLITE)) == _SQLITE
            file.seek(0)
            kept = b""
            while chunk := file.read(_CHUNK_BYTES):
                yield kept + chunk
                kept = chunk[-1024:]  # what stands across two chunks
    except FileNotFoundError:  # a file of a moment
        return
    if is_database:
        yield from _rows(path)


def _rows(path: Path) -> Iterator[bytes]:
    """Yield every value of every table: a long one is in several places of the file."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            try:
                rows = db.execute(f'SELECT * FROM "{table}"')  # the database's own name
            except sqlite3.DatabaseError:  # of a virtual table whose module is not here
                continue
            for row in rows:
                yield b"\n".join(each if isinstance(each, bytes) else str(each).encode() for each in row)
    db.close()
