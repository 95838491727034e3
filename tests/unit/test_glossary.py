"""The glossary and the code agree: what it names exists, and each thing has one name, in code and in prose."""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("gateway", "processor", "monitor", "mesh", "registry", "broker", "stack", "contracts", "cli")
SDK: Final = "sdk/src"  # a package of its own, installed without the platform
GLOSSARY: Final = ROOT / "docs" / "glossary.md"
PAGES: Final = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "sdk/README.md", "deploy/compose/README.md")
# Two classes may share a name only here, and why.
SHARED_CLASSES: Final = {"PolystreamError": "the SDK's users catch it, and have no other package of the platform"}

_CODE: Final = re.compile(r"```.*?^ *```|`[^`\n]*`|\]\([^)]*\)|<[^>\s]+>", re.DOTALL | re.MULTILINE)
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True, slots=True)
class Retired:
    """A word that has another word in its place."""

    word: str  # a regular expression, of a whole word in lower case
    instead: str
    prose: bool = True  # whether it is looked for in prose too; else only in names
    classes_only: bool = False  # whether it is looked for in the names of classes only
    below: str = ""  # the folder in which it has the retired sense; everywhere if empty


RETIRED: Final = (
    Retired("shelf|shelves", "Redis operation store"),
    Retired("(?<!dead )letters?", "dead letter"),
    Retired("deadletters?", "dead letter, in two words"),
    Retired("box|boxes", "dead-letter reader"),
    Retired("cases?", "dead-letter entry", prose=False, classes_only=True),
    Retired("standings?", "redrive status"),
    Retired("places?|placed", "record position", prose=False, classes_only=True),
    Retired("patience|patient|patiently", "retry"),
    Retired("waves?", "batch"),
    Retired("sides?", "inspector"),
    Retired("intakes?", "decoding"),
    Retired("reply|replies", "receipt"),
    Retired("outbox|outboxes", "receipt producer"),
    Retired("sites?", "stack context"),
    Retired("keepers?", "supervised process"),
    Retired("leftovers?", "stale process"),
    Retired("settles?", "drain", below="stack"),
    Retired("boundary|boundaries", "door"),
    Retired("texts", "stored enum", prose=False),
)

# Ordinary uses of such words in names: the word, the file, and why it is no private sense there.
ORDINARY_NAMES: Final = {
    ("texts", "contracts/descriptors.py"): "the comments in a proto, as text",
    ("texts", "contracts/reference/markdown.py"): "texts of a page",
    ("texts", "gateway/validation.py"): "the text fields of a message",
    ("texts", "mesh/stored_enums.py"): "the texts that stand for an enum's values in the stores",
    ("texts", "monitor/store/documents.py"): "the text fields of a document",
}
# Ordinary uses in prose: a regular expression of the words around, and why.
ORDINARY_PROSE: Final = {
    r"side by side": "several at a time",
    r"case of every letter": "a letter of the alphabet",
    r"the other side": "the other end of a connection",
}


@dataclass(frozen=True, slots=True)
class Name:
    """A name that code gives to something."""

    file: str
    line: int
    text: str
    is_class: bool = False

    @property
    def words(self) -> str:
        """Its words in lower case, with spaces between them."""
        return words_of(self.text)


@dataclass(frozen=True, slots=True)
class Prose:
    """A docstring, a comment or a page, without the code in it."""

    file: str
    line: int
    text: str


@cache
def words_of(name: str) -> str:
    """Split a name, in snake or camel case, into words in lower case."""
    return " ".join(word.lower() for word in _WORDS.findall(name))


def without_code(text: str) -> str:
    """Take code, the targets of links and tags out of a text, and join its lines."""
    return re.sub(r"\s+", " ", _CODE.sub(" ` ", text))


@cache
def modules() -> dict[str, ast.Module]:
    """Return the parsed modules of the platform and the SDK, by their paths."""
    paths = sorted(path for folder in (*PACKAGES, SDK) for path in (ROOT / folder).rglob("*.py"))
    assert paths
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def names_in(file: str, tree: ast.Module) -> Iterator[Name]:
    """Yield the names that a module gives, its own included, not those that it uses."""
    yield Name(file, 1, file.removesuffix(".py"))
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef():
                yield Name(file, node.lineno, node.name, is_class=True)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield Name(file, node.lineno, node.name)
            case ast.arg():
                yield Name(file, node.lineno, node.arg)
            case ast.Name(id=text, ctx=ast.Store()) | ast.Attribute(attr=text, ctx=ast.Store()):
                yield Name(file, node.lineno, text)
            case ast.alias(asname=str(text)):
                yield Name(file, node.lineno, text)
            case ast.MatchAs(name=str(text)) | ast.MatchStar(name=str(text)) | ast.ExceptHandler(name=str(text)):
                yield Name(file, node.lineno, text)
            case _:
                pass


def prose_in(file: str, tree: ast.Module) -> Iterator[Prose]:
    """Yield a module's docstrings, and its comments, those that stand together as one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node)
            if said:
                yield Prose(file, getattr(node, "lineno", 1), without_code(said))
    begin, last, lines = 0, 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO((ROOT / file).read_text(encoding="utf-8")).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1 and lines:
            yield Prose(file, begin, without_code(" ".join(lines)))
            lines = []
        begin, last = begin if lines else token.start[0], token.start[0]
        lines.append(token.string.lstrip("# "))
    if lines:
        yield Prose(file, begin, without_code(" ".join(lines)))


def pages() -> Iterator[Prose]:
    """Yield the pages of the documentation."""
    paths = [*(ROOT / "docs").rglob("*.md"), *(ROOT / page for page in PAGES)]
    for path in sorted(paths):
        yield Prose(path.relative_to(ROOT).as_posix(), 1, without_code(path.read_text(encoding="utf-8")))


@cache
def all_names() -> tuple[Name, ...]:
    """Return every name that the platform and the SDK give."""
    return tuple(name for file, tree in modules().items() for name in names_in(file, tree))


@cache
def all_prose() -> tuple[Prose, ...]:
    """Return the pages, docstrings and comments."""
    return (*pages(), *(piece for file, tree in modules().items() for piece in prose_in(file, tree)))


def found_in_names(retired: Retired, names: Iterable[Name]) -> list[Name]:
    """Return the names that have a retired word."""
    pattern = re.compile(rf"\b(?:{retired.word})\b")
    return [
        name
        for name in names
        if name.file.startswith(retired.below)
        and (name.is_class or not retired.classes_only)
        and pattern.search(name.words)
    ]


def found_in_prose(retired: Retired, prose: Iterable[Prose]) -> list[str]:
    """Return where prose has a retired word, with the words around it, ordinary uses left out."""
    pattern = re.compile(rf"\b(?:{retired.word})\b".replace("dead ", "dead[ -]"), re.IGNORECASE)
    ordinary = re.compile("|".join(f"(?:{use})" for use in ORDINARY_PROSE), re.IGNORECASE)
    return [
        f"{piece.file}:{piece.line}: … {text[max(0, found.start() - 40) : found.end() + 30]} …"
        for piece in prose
        if piece.file.startswith(retired.below)
        for text in (ordinary.sub(" ", piece.text),)
        for found in pattern.finditer(text)
    ]


def glossary_rows() -> list[tuple[str, str, str]]:
    """Return the glossary's rows: the term, its meaning, and where the code has it."""
    rows = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in GLOSSARY.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| ---", "| term |"))
    ]
    assert all(len(row) == 3 for row in rows), "a row of the glossary has three cells"
    return [(row[0], row[1], row[2]) for row in rows]


def _is_defined(module: str, name: str) -> bool:
    """Tell whether a module defines a class, a function or a constant of this name."""
    tree = modules().get(f"{module.replace('.', '/')}.py") or modules().get(f"{module.replace('.', '/')}/__init__.py")
    if tree is None:
        return False
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return True
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return True
    return False


@cache
def _classes() -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for file, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(file)
    return found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("split_waves", "split waves"),
        ("OperationShelf", "operation shelf"),
        ("_MAX_DEAD_LETTER_BYTES", "max dead letter bytes"),
        ("JSONBox", "json box"),
        ("stack/supervisor/keeper", "stack supervisor keeper"),
    ],
)
def test_a_name_is_split_into_its_words(name: str, words: str) -> None:
    """Snake case, camel case, abbreviations and paths are told apart."""
    assert words_of(name) == words


def test_retired_words_are_found_and_ordinary_ones_are_not() -> None:
    """A dead letter is no letter, code in prose is no prose, and a retired word of one folder is free in others."""
    tree = ast.parse("def read(dead_letters, letter):\n    self._box = keep\n")
    names = list(names_in("cli/example.py", tree))
    found = {retired.instead: [name.text for name in found_in_names(retired, names)] for retired in RETIRED}
    assert {instead: texts for instead, texts in found.items() if texts} == {
        "dead letter": ["letter"],
        "dead-letter reader": ["_box"],
    }
    text = without_code("A `letter` and a dead-letter topic, side by side; a dead\nletter, and a Letter. It settles.")
    said = [found_in_prose(retired, [Prose("cli/example.py", 1, text)]) for retired in RETIRED]
    assert [len(places) for places in said if places] == [1]


@pytest.mark.parametrize("retired", RETIRED, ids=lambda retired: retired.word)
def test_no_name_has_a_retired_word(retired: Retired) -> None:
    """No class, function, module, parameter or variable is called by a word that the glossary has replaced."""
    words = re.compile(rf"\b(?:{retired.word})\b")
    left = [
        f"{name.file}:{name.line}: {name.text}"
        for name in found_in_names(retired, all_names())
        if not any((word, name.file) in ORDINARY_NAMES for word in words.findall(name.words))
    ]
    assert left == [], f"say {retired.instead!r} instead"


@pytest.mark.parametrize("retired", [r for r in RETIRED if r.prose], ids=lambda retired: retired.word)
def test_no_prose_has_a_retired_word(retired: Retired) -> None:
    """Neither pages nor docstrings nor comments say a word that the glossary has replaced."""
    assert found_in_prose(retired, all_prose()) == [], f"say {retired.instead!r} instead"


def test_ordinary_uses_are_still_there() -> None:
    """An exception that nothing needs any more is taken out of the lists."""
    assert set(ORDINARY_NAMES) <= {(word, name.file) for name in all_names() for word in name.words.split()}
    prose = " ".join(piece.text for piece in all_prose())
    assert [use for use in ORDINARY_PROSE if not re.search(use, prose, re.IGNORECASE)] == []


@pytest.mark.parametrize("row", glossary_rows(), ids=lambda row: row[0])
def test_what_the_glossary_names_exists(row: tuple[str, str, str]) -> None:
    """Every path, module and class in the last column is there."""
    places = re.findall(r"`([^`]+)`", row[2])
    assert places, f"{row[0]} is nowhere in the code"
    for place in places:
        module, colon, name = place.partition(":")
        if colon:
            assert _is_defined(module, name), place
        elif re.fullmatch(r"[A-Z][A-Za-z]+", place):
            assert place in _classes(), place
        else:
            assert (ROOT / place).exists(), place


def test_the_glossary_has_each_term_once_and_in_order() -> None:
    """A reader finds a term where the alphabet has it, and only there."""
    terms = [term.lower() for term, _, _ in glossary_rows()]
    assert len(set(terms)) == len(terms)
    for section in GLOSSARY.read_text(encoding="utf-8").split("\n## ")[1:]:
        inside = re.findall(r"^\| (?!---|term )([^|]+) \|", section, re.MULTILINE)
        assert inside == sorted(inside, key=str.lower), section.partition("\n")[0]


def test_a_class_has_its_name_alone() -> None:
    """No two classes of the platform share a name: a word means one thing."""
    shared = {name: files for name, files in _classes().items() if len(files) > 1}
    assert {name: files for name, files in shared.items() if name not in SHARED_CLASSES} == {}
    assert set(SHARED_CLASSES) <= set(shared)


def _path_of_a_command() -> list[str]:
    """Return the files that CONTRIBUTING names on the path of CreateUser, in the order in which they are read."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = re.search(r"^## The path of CreateUser.*?\n(.*?)^## ", text, re.DOTALL | re.MULTILINE)
    assert section is not None
    numbered = re.findall(r"^(\d+)\. `([^`]+)` .+\.$", section[1], re.MULTILINE)
    assert [int(number) for number, _ in numbered] == list(range(1, len(numbered) + 1))
    assert len(re.findall(r"^\d+\.", section[1], re.MULTILINE)) == len(numbered), "each has a file and a sentence"
    return [file for _, file in numbered]


def test_the_path_of_a_command_is_short_and_true() -> None:
    """Who follows a command reads at most 30 files, each once, and finds every one of them."""
    files = _path_of_a_command()
    assert 0 < len(files) <= 30
    assert len(set(files)) == len(files)
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_folders_of_contributing_are_those_of_the_checkout() -> None:
    """The table of folders names every package of the platform, and nothing that is not there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`[^`]+/`(?:, )?)+) \|", text, re.MULTILINE)
    folders = [folder for row in rows for folder in re.findall(r"`([^`]+)/`", row)]
    assert set(PACKAGES) <= set(folders)
    assert [folder for folder in folders if not (ROOT / folder).is_dir()] == []
