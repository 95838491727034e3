"""The little Markdown that the generated pages need."""

from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells may hold Markdown, on one line."""
    lines = [_row(headings), _row(["---"] * len(headings)), *(_row(row) for row in rows)]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return the text as code; nothing for no text."""
    return f"`{text}`" if text else ""


def codes(texts: Iterable[str]) -> str:
    """Return texts as code, with commas between them."""
    return ", ".join(code(text) for text in texts)


def anchor(name: str) -> str:
    """Return the anchor of a declaration's heading, `polystream-v1-user` for `polystream.v1.User`."""
    return name.replace(".", "-").lower()


def heading(level: int, text: str, name: str) -> str:
    """Return a heading with the anchor of a declaration."""
    return f"{'#' * level} {text} {{ #{anchor(name)} }}\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("\n", " ").replace("|", "\\|") for cell in cells) + " |"
