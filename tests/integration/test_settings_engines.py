"""Engines whose names in the settings have characters that mean something in a URL, in SQL or on a command line."""

from pathlib import Path

import psycopg
import pymongo
import pytest

from tests.support.platform import engines


@pytest.mark.parametrize(
    ("database", "user", "password"),
    [
        ("my db", "o'user", "p'\\\"; --"),
        ("a/b?c", "u:s@e/r", ":/?#[]@!$&'()*+,;=%"),
        ("a%20b", 'quo"te', " spaces and \t tab "),
    ],
)
def test_the_engines_that_are_started_take_every_name(
    database: str, user: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL has the very database, role and password; MongoDB has one of that name as far as it takes it."""
    for name, value in (("DB", database), ("USER", user), ("PASSWORD", password)):
        monkeypatch.setenv(f"POSTGRES_{name}", value)
    with engines({"postgresql", "mongodb"}, tmp_path) as running:
        with psycopg.connect(running.endpoints["postgresql"]) as connection:
            assert connection.execute("SELECT current_database(), current_user").fetchone() == (database, user)
        with pymongo.MongoClient[dict[str, object]](running.endpoints["mongodb"]) as client:
            found = client.get_default_database()["trial"]
            found.insert_one({"_id": 1})
            assert found.count_documents({}) == 1
        wrong = running.endpoints["postgresql"].replace("@127.0.0.1", "x@127.0.0.1")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(wrong)
