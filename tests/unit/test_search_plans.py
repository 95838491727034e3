"""What a search of the file reads: an index alone, and no more of it than it has to, whatever the clock says.

SQLite counts its own steps: they are the same on every machine. How long they take is told by `tests.bench.dashboard`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mesh.catalog import load_catalog
from monitor.listing.checking import conditions_of
from monitor.listing.fields import EVENTS, OPERATIONS, FieldValues, ListKind, operation_values
from monitor.listing.listing import Listing, order_of, sort_key
from monitor.store.local import LocalEventStore
from monitor.store.local_schema import EVENT_TABLE, OPERATION_TABLE, SearchTable
from tests.bench.dashboard import END_MS, FILTERS, ORDERS
from tests.support.operation_load import load_operations

FEW, MANY = 500, 2000
PAGE = 51
STEPS_A_ROW = 60  # of SQLite's virtual machine, with the longest of the filters
STEPS_A_PAGE = 2500
EVENT_FILTERS = ("", "reason = NO_SUCH_REASON", "event_type = command.failed AND store = MONGODB", 'error:"address"')


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, LocalEventStore]]:
    """Return stores with few operations and with many."""
    made = {}
    for count in (FEW, MANY):
        made[count] = LocalEventStore(tmp_path_factory.mktemp("events"), load_catalog())
        load_operations(made[count], count, END_MS)
    yield made
    for store in made.values():
        store.close()


def listing_of(kind: ListKind, text: str, order_by: str, last: FieldValues | None = None) -> Listing:
    """Return what a page asks a store for."""
    order = order_of(order_by, kind)
    return Listing(PAGE, conditions_of(text, kind), order, None if last is None else sort_key(last, order))


def plan(store: LocalEventStore, table: SearchTable, listing: Listing) -> str:
    """Return how SQLite is going to read."""
    statement, values = table.query(listing)
    with closing(sqlite3.connect(store.path)) as db:
        return "\n".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}", values))


def steps(store: LocalEventStore, table: SearchTable, listing: Listing) -> int:
    """Return how many steps SQLite takes."""
    count = 0

    def one() -> int:
        nonlocal count
        count += 1
        return 0

    statement, values = table.query(listing)
    with closing(sqlite3.connect(store.path)) as db:
        db.set_progress_handler(one, 1)
        db.execute(statement, values).fetchall()
    return count


@pytest.mark.parametrize("order_by", ORDERS)
@pytest.mark.parametrize("text", FILTERS)
def test_operations_are_searched_in_an_index_alone(
    stores: dict[int, LocalEventStore], text: str, order_by: str
) -> None:
    """Only what was found is read from the table, by its key; a step or sixty are taken for each operation."""
    listing = listing_of(OPERATIONS, text, order_by)
    told = plan(stores[MANY], OPERATION_TABLE, listing)
    by = "correlation_id=?" if text.startswith("correlation_id") else "COVERING INDEX operations_by_values"
    assert by in told
    assert "whole USING PRIMARY KEY (correlation_id=?)" in told
    assert steps(stores[MANY], OPERATION_TABLE, listing) < STEPS_A_ROW * MANY


@pytest.mark.parametrize("text", EVENT_FILTERS)
def test_events_are_searched_in_an_index_alone(stores: dict[int, LocalEventStore], text: str) -> None:
    """And sorted by it, where they come by time."""
    told = plan(stores[MANY], EVENT_TABLE, listing_of(EVENTS, text, ""))
    assert "COVERING INDEX events_by_values" in told
    assert "TEMP B-TREE" not in told


@pytest.mark.parametrize(
    ("text", "order_by"), [("", ""), ("", "accept_time"), ('accept_time >= "2026-11-29T01:00:00Z"', "")]
)
def test_a_page_by_time_costs_the_same_whatever_there_is(
    stores: dict[int, LocalEventStore], text: str, order_by: str
) -> None:
    """Four times as many operations, or a page far behind the first: the same steps, and nothing is sorted."""
    last = stores[MANY].operations(Listing(MANY))[MANY // 2]
    for count, behind in ((FEW, None), (MANY, None), (MANY, operation_values(last))):
        listing = listing_of(OPERATIONS, text, order_by, behind)
        assert "TEMP B-TREE" not in plan(stores[count], OPERATION_TABLE, listing)
        assert steps(stores[count], OPERATION_TABLE, listing) < STEPS_A_PAGE


def test_pages_of_an_index_are_full(stores: dict[int, LocalEventStore]) -> None:
    """What comes last is at its end: an index that grew at its beginning would be half empty."""
    with closing(sqlite3.connect(stores[MANY].path)) as db:
        for table in (EVENT_TABLE, OPERATION_TABLE):
            name = f"{table.name}_by_values"
            used, free = db.execute("SELECT sum(pgsize), sum(unused) FROM dbstat WHERE name = ?", (name,)).fetchone()
            assert free < used * 0.2


def test_a_file_of_an_earlier_version_gets_the_indexes(tmp_path: Path) -> None:
    """In place of those that it has, and finds the same by them."""
    store = LocalEventStore(tmp_path, load_catalog())
    load_operations(store, FEW, END_MS)
    listing = listing_of(OPERATIONS, "state = FAILED", "")
    found = [operation.correlation_id for operation in store.operations(listing)]
    store.close()
    with closing(sqlite3.connect(store.path)) as db:
        db.executescript(
            "DROP INDEX operations_by_values; DROP INDEX events_by_values;"
            "CREATE INDEX operations_by_fields ON operations (accept_time DESC, correlation_id DESC, state);"
            "CREATE INDEX operations_by_user ON operations (user_id, accept_time_us DESC)"
        )
    again = LocalEventStore(tmp_path, load_catalog())
    assert [operation.correlation_id for operation in again.operations(listing)] == found
    again.close()
    with closing(sqlite3.connect(store.path)) as db:
        indexes = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index'")}
    assert {"operations_by_values", "events_by_values"} <= indexes
    assert not indexes & {"operations_by_fields", "operations_by_user"}
