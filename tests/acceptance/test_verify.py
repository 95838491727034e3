"""The self-check keeps to its own promise: it finds nothing where all is well, and what is wrong where something is."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psycopg
import pymongo
import pytest

from cli.verify.fault_world import FaultKind, FaultWorld
from cli.verify.options import RunOptions
from cli.verify.platform import VerifyError
from cli.verify.run import run_verify
from mesh.store_names.mongodb import VIEWS
from tests.support.bounded import run_bounded
from tests.support.engine_sets import chosen_sets

_RUN_TIMEOUT_S: Final = 420.0  # on a busy machine; else it takes a minute and a half
_TEST_TIMEOUT_S: Final = _RUN_TIMEOUT_S + 40  # what a run has said is shown all the same
# Each way in which a fault works; of what is much alike, another part on each set of engines.
_RUNS: Final[dict[str, dict[str, str]]] = {
    "embedded": {
        "--seed": "20",
        "--commands": "1500",
        "--duration-s": "60",
        "--lanes": "2",
        "--faults": "kill-gateway-before-answer,kill-lane-postgresql-after-commit,kill-lane-redis-before-dead-letter,"
        "kill-lane-mongodb-in-redrive,stop-lane-redis-before-write,kill-monitor,kill-mongodb,kill-redis,kill-kafka,"
        "give-up-postgresql,reset-offsets-postgresql,foreign-records,record-again",
    },
    "native": {
        "--seed": "21",
        "--commands": "250",
        "--duration-s": "25",
        "--faults": "kill-kafka,kill-postgresql,kill-lane-mongodb-before-mark,reset-offsets-mongodb,foreign-records",
    },
}


def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return run_bounded(
        (sys.executable, "-m", "cli", "verify", *arguments), timeout_s=_RUN_TIMEOUT_S, cwd=Path(__file__).parents[2]
    )


@pytest.mark.timeout(_TEST_TIMEOUT_S)
@pytest.mark.parametrize("engine_set", chosen_sets())
def test_every_promise_is_kept_under_faults(engine_set: str, tmp_path: Path) -> None:
    """Nothing acknowledged is lost, doubled, halved or out of order, at no door, whatever is killed."""
    options = [text for option in _RUNS[engine_set].items() for text in option]
    done = verify("--engines", engine_set, *options, "--json", str(tmp_path / "report.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    counts = report["counts"]
    assert report["violations"] == []
    assert sorted(fault["kind"] for fault in report["faults"]) == sorted(_RUNS[engine_set]["--faults"].split(","))
    assert not any(fault["failed"] for fault in report["faults"])
    # That much was compared: a run that sends little finds little.
    assert counts["acknowledged"] >= 0.95 * int(_RUNS[engine_set]["--commands"])
    assert counts["records"] >= counts["acknowledged"]
    assert counts["receipts"] >= counts["acknowledged"]
    assert counts["repeated_receipts"] > 0  # the offsets were reset
    assert (
        counts["dead_letters"] >= 8
    )  # of six foreign records, one of which concerns three lanes; and what was given up
    assert counts["commands_not_planned"] == []
    assert counts["stored_items"] > counts["entities"]
    assert {"SUCCEEDED", "FAILED"} == set(counts["operations"])


def _harm_stores(world: FaultWorld, _rng: random.Random) -> str:
    """Break promises behind the platform's back: in PostgreSQL and in MongoDB."""
    with psycopg.connect(world.platform.endpoint("postgresql")) as db:

        def is_all_applied() -> bool:
            """Tell whether nothing comes any more that would undo the harm."""
            entries = list(world.load.entries)
            wanted = sum("POSTGRESQL" in entry.stores for entry in entries if entry.is_acknowledged)
            row = db.execute("SELECT count(*) FROM inbox").fetchone()
            return len(entries) == _HARMED_COMMANDS and row is not None and row[0] >= wanted

        assert world.platform.wait_for(is_all_applied, timeout_s=60.0)
        lost = db.execute(
            "DELETE FROM pagamentos WHERE id = (SELECT max(id) FROM pagamentos WHERE status = 'aprovado')"
        ).rowcount
        doubled = db.execute(
            "INSERT INTO assinaturas (user_id, plano, inicio, fim, status) "
            "SELECT user_id, plano, inicio, fim, 'cancelada' FROM assinaturas WHERE user_id > 800000 LIMIT 1"
        ).rowcount
    with pymongo.MongoClient[dict[str, Any]](world.platform.endpoint("mongodb")) as client:
        views = client.get_default_database()[VIEWS]
        chosen = views.find_one({"titulo": {"$regex": "^Visto"}})
        assert chosen is not None
        views.insert_one({**chosen, "_id": "nobody's"})
    assert (lost, doubled) == (1, 1)
    return "a payment deleted, a subscription doubled, a view made up"


_HARMED_COMMANDS: Final = 240


@pytest.mark.timeout(_TEST_TIMEOUT_S)
def test_what_is_wrong_is_found_with_its_history() -> None:
    """A store that loses, doubles and makes up: each is named, with the records and receipts that show it."""
    steps: list[str] = []
    options = RunOptions(22, "embedded", _HARMED_COMMANDS, 12.0, 1, ["harm"])
    report = run_verify(options, steps.append, {"harm": FaultKind("harm", _harm_stores)})
    found = {violation["kind"]: violation for violation in report["violations"]}
    assert set(found) == {"LOST", "TWICE", "STRANGE"}, report["violations"]
    assert found["LOST"]["table"] == "pagamentos"
    history = "\n".join(found["LOST"]["history"])
    assert "CreatePayment" in history
    assert "record user_events/" in history
    assert "receipt response_events/" in history
    assert "RecordView" not in history
    assert any("fault: harm" in step for step in steps)


def test_a_run_that_cannot_be_made_ends_with_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that these engines do not stand, and a machine without a free port."""
    done = verify("--faults", "kill-opensearch")
    assert (done.returncode, "'kill-opensearch' is none of these engines'" in done.stdout) == (2, True)
    monkeypatch.setattr("cli.verify.platform.is_free", lambda _: False)
    with pytest.raises(VerifyError, match="no port offset leaves all ports free"):
        run_verify(RunOptions(1, "embedded", 10, 5.0, 1, []), lambda _: None)
