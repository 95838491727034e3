"""PostgreSQL's errors, by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html."""

from typing import Final

import psycopg

from mesh.error_classes.classes import ErrorClass, ErrorVerdict, Rule, by_code, verdict

_WAIT, _SET_APART = ErrorClass.WAIT, ErrorClass.SET_APART

# A code of two characters is a class of SQLSTATE; a longer one in another row goes before it.
RULES: Final = (
    Rule(("08",), _WAIT, "the connection is broken, or was refused"),
    Rule(("0A000",), _WAIT, "a table was changed below a prepared statement"),
    Rule(("22",), _SET_APART, "a value is not of the column's form or range"),
    Rule(("23",), _SET_APART, "a constraint of a table's is violated"),
    # Handlers look for what is there before: it came a moment after they looked.
    Rule(("23505",), _SET_APART, "a value is taken that must be unique", at_once=True),
    Rule(("25006",), _WAIT, "the server takes no writes: it is a standby, or set to read only"),
    Rule(("25P03", "25P04"), _WAIT, "the server ended a transaction that took too long"),
    Rule(("26",), _WAIT, "a pooler in front of the server has lost a prepared statement"),
    Rule(("28",), _WAIT, "the server refuses the user or the password"),
    Rule(("3D", "3F"), _WAIT, "the database or its schema does not exist"),
    Rule(("40",), _WAIT, "another transaction was in the way", at_once=True),
    Rule(("42",), _WAIT, "the tables are not as the platform's statements need them: run its migrations"),
    Rule(("42501",), _WAIT, "a privilege is missing"),
    Rule(("42601",), _SET_APART, "a statement is wrong"),
    Rule(("42P01",), _WAIT, "a table is missing: run the migrations, or give it its name back"),
    Rule(("53", "53000", "53400"), _WAIT, "the server lacks a resource"),
    Rule(("53100",), _WAIT, "the server's disk is full"),
    Rule(("53200",), _WAIT, "the server's memory is full"),
    Rule(("53300",), _WAIT, "the server has too many connections"),
    Rule(("54",), _SET_APART, "the command exceeds a limit of the server's"),
    Rule(("55",), _WAIT, "an object is in use, or not in the state that is needed"),
    Rule(("55P03",), _WAIT, "a lock is held by somebody else for too long"),
    Rule(("57",), _WAIT, "the server is starting, stopping, or has ended the connection"),
    Rule(("57014",), _WAIT, "a statement took too long, or was cancelled"),
    Rule(("58",), _WAIT, "the server cannot read or write its files"),
    Rule(("F0",), _WAIT, "the server's configuration has a fault"),
    Rule(("XX",), _WAIT, "the server has found a fault of its own, or damaged data"),
)
AWAY: Final = Rule(("no SQLSTATE, from libpq",), _WAIT, "the server does not answer, or the connection broke")
DEFAULT: Final = Rule(("any other",), _SET_APART, "the server refuses the command")

# What libpq says when it cannot connect has no SQLSTATE: all of it is waited for, and some of it is worth telling.
_CONNECTING: Final = (
    ("password authentication failed", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("pg_hba.conf rejects connection", "28000"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
    ("too many connections", "53300"),
    ("starting up", "57P03"),
    ("shutting down", "57P03"),
    ("in recovery mode", "57P03"),
    ("database", "3D000"),  # `database "…" does not exist`: the name stands between the words
)
_DOES_NOT_EXIST: Final = "does not exist"
_CLASS_CHARACTERS: Final = 2
_BY_CODE: Final = by_code(RULES)


def classify_postgresql(error: psycopg.Error) -> ErrorVerdict:
    """Return what to do about an error of psycopg's."""
    state = error.sqlstate
    if state is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        state = _told_by_libpq(str(error))
        if state is None:
            return verdict(AWAY, type(error).__name__)
    if state is None:
        return verdict(DEFAULT, type(error).__name__)
    return verdict(_BY_CODE.get(state) or _BY_CODE.get(state[:_CLASS_CHARACTERS], DEFAULT), state)


def _told_by_libpq(text: str) -> str | None:
    for words, state in _CONNECTING:
        if words in text and (state != "3D000" or _DOES_NOT_EXIST in text):
            return state
    return None
