"""Text from outside, as a terminal may have it: records, logs and names may hold what a terminal takes for an order."""

import json
import logging
import re
import sys
from typing import Any, Final

# Controls (ESC begins a terminal's orders, and U+009B stands for "ESC ["), line and paragraph separators, invisible
# format characters (U+202E turns what follows around), noncharacters, and halves of surrogate pairs, which no stream
# takes. Line feeds and tabs stay, and so do the joiners U+200C and U+200D, which belong to words and to emojis.
_UNPRINTABLE: Final = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u070f\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e0fff]"
)
_LARGEST_BYTE: Final = 0xFF
_LARGEST_UTF16: Final = 0xFFFF


def printable(text: str) -> str:
    r"""Return a text with what no terminal should get written out, as `\x1b`."""
    return _UNPRINTABLE.sub(_python_escape, text)


def json_text(document: Any) -> str:
    """Return a document as JSON text, on several lines, with what no terminal should get in JSON's own escapes.

    Whoever reads the JSON gets the texts as they are.
    """
    return printable_json(json.dumps(document, indent=2, ensure_ascii=False, default=str))


def printable_json(text: str) -> str:
    """Return JSON text with what no terminal should get in JSON's own escapes."""
    return _UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def log_to_stderr() -> None:
    """Have warnings go to stderr: stdout has the command's own answer, which may be JSON. The rest is for services."""
    import structlog  # noqa: PLC0415 - it brings rich, which takes its time, to commands that log nothing

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),  # whichever that is by then
    )


def write_error(text: object) -> None:
    """Write what an error says to stderr, on a line of its own."""
    sys.stderr.write(f"{printable(str(text))}\n")


def _python_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code <= _LARGEST_BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LARGEST_UTF16 else f"\\U{code:08x}"
