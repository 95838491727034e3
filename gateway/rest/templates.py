"""The grammar of path templates, as the comments of google/api/http.proto have it.

Template  = "/" Segments [ Verb ] ;
Segments  = Segment { "/" Segment } ;
Segment   = "*" | "**" | LITERAL | Variable ;
Variable  = "{" FieldPath [ "=" Segments ] "}" ;
FieldPath = IDENT { "." IDENT } ;
Verb      = ":" LITERAL ;
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote

_VARIABLE: Final = re.compile(r"\{([^{}=]*)(?:=([^{}]*))?\}")
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What a path segment may hold (RFC 3986, section 3.3, pchar), but for what the grammar itself uses.
_LITERAL: Final = re.compile(r"(?:[-_.~0-9A-Za-z!$&'()+,;@]|%[0-9A-Fa-f]{2})+")


class Wildcard(Enum):
    """A segment that fits any text."""

    ONE = "*"  # exactly one segment, not an empty one
    REST = "**"  # all segments that are left, none at all too


Segment = str | Wildcard  # a literal is percent-decoded


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """A part of the path that sets a field."""

    field_path: tuple[str, ...]  # proto names, from the request down
    start: int  # index of its first segment
    stop: int | None  # index behind its last one; None where it takes all that is left
    is_single: bool  # exactly one segment: decoded wholly, where others keep an encoded slash


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A path template, taken apart."""

    text: str
    segments: tuple[Segment, ...]
    verb: str  # percent-decoded, without the colon; "" where there is none
    variables: tuple[TemplateVariable, ...]


def parse_template(text: str) -> PathTemplate:
    """Parse a path template. Raises ValueError, which says what is wrong with it."""
    if not text.startswith("/"):
        raise ValueError(f"the path template {text!r} must begin with a slash")
    body, verb = _split_verb(text)
    segments: list[Segment] = []
    variables: list[TemplateVariable] = []
    for part in _split_parts(body, text):
        variable = _VARIABLE.fullmatch(part)
        if variable is None:
            segments.append(_segment(part, text))
            continue
        inner = [_segment(piece, text) for piece in (variable[2] if variable[2] is not None else "*").split("/")]
        start = len(segments)
        segments.extend(inner)
        rest = inner[-1] is Wildcard.REST
        variables.append(
            TemplateVariable(
                _field_path(variable[1], text),
                start,
                None if rest else len(segments),
                is_single=len(inner) == 1 and not rest,
            )
        )
    if Wildcard.REST in segments[:-1]:
        raise ValueError(f"the path template {text!r} has ** before its last segment")
    paths = [variable.field_path for variable in variables]
    if len(set(paths)) != len(paths):
        raise ValueError(f"the path template {text!r} has a variable twice")
    return PathTemplate(text, tuple(segments), verb, tuple(variables))


def _split_verb(text: str) -> tuple[str, str]:
    """Cut the verb off: what stands behind a colon after the last slash and the last brace."""
    last = max(text.rfind("/"), text.rfind("}"))
    colon = text.find(":", last)
    if colon < 0:
        return text, ""
    verb = text[colon + 1 :]
    if not _LITERAL.fullmatch(verb):
        raise ValueError(f"the path template {text!r} has no word for a verb behind its colon")
    return text[:colon], _decoded_literal(verb, text)


def _split_parts(body: str, text: str) -> list[str]:
    """Split at the slashes that are outside of variables."""
    marked = _VARIABLE.sub(lambda found: found[0].replace("/", "\0"), body)
    parts = [part.replace("\0", "/") for part in marked[1:].split("/")]
    if "" in parts:
        raise ValueError(f"the path template {text!r} has an empty segment")
    return parts


def _segment(part: str, text: str) -> Segment:
    if part in {"*", "**"}:
        return Wildcard(part)
    if not _LITERAL.fullmatch(part):
        raise ValueError(
            f"the path template {text!r} has the segment {part!r}, which is neither a literal, a wildcard nor one "
            "variable without others in it; percent-encode what is reserved"
        )
    return _decoded_literal(part, text)


def _decoded_literal(literal: str, text: str) -> str:
    try:
        return unquote(literal, errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"the path template {text!r} has a literal that is no UTF-8 once decoded") from None


def _field_path(path: str, text: str) -> tuple[str, ...]:
    names = path.split(".")
    if not all(_IDENTIFIER.fullmatch(name) for name in names):
        raise ValueError(f"the path template {text!r} has {path!r} where a field's path belongs")
    return tuple(names)
