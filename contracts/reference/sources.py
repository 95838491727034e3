"""The comments beside assignments: what a table of settings, ports or names says of each."""

import ast
import inspect
import io
import tokenize
from collections.abc import Iterable
from types import ModuleType


def comments_in(module: ModuleType, class_name: str = "") -> dict[str, str]:
    """Return what is said of each name assigned in a module, or in a class of it: empty where nothing is.

    It is the comment at the end of the line, else the lines of comment right above.
    """
    source = inspect.getsource(module)
    trailing, alone = _comments(source)
    found: dict[str, str] = {}
    for statement in _statements(ast.parse(source), class_name):
        target = _target(statement)
        if isinstance(target, ast.Name):
            last = statement.end_lineno or statement.lineno
            found[target.id] = trailing.get(last) or trailing.get(statement.lineno) or _above(alone, statement.lineno)
    return found


def _target(statement: ast.stmt) -> ast.expr | None:
    if isinstance(statement, ast.AnnAssign):
        return statement.target
    return statement.targets[0] if isinstance(statement, ast.Assign) else None


def _statements(tree: ast.Module, class_name: str) -> Iterable[ast.stmt]:
    if not class_name:
        return tree.body
    return next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)


def _comments(source: str) -> tuple[dict[int, str], dict[int, str]]:
    """Return the comments at the end of lines, and those that have a line of their own, by line."""
    trailing: dict[int, str] = {}
    alone: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            text = token.string.lstrip("# ")
            (alone if not token.line[:column].strip() else trailing)[line] = text
    return trailing, alone


def _above(alone: dict[int, str], line: int) -> str:
    lines: list[str] = []
    while (line := line - 1) in alone:
        lines.insert(0, alone[line])
    return " ".join(lines)
