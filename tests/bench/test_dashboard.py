"""The dashboard's benchmark itself, with few operations: what it says of CPU holds, and nothing is left out."""

from pathlib import Path

import pytest

from mesh.catalog import load_catalog
from monitor.store.local import LocalEventStore
from tests.bench.dashboard import END_MS, FILTERS, ORDERS, overview_shares, search_costs
from tests.support.operation_load import load_operations

_COMMANDS = 3000
_ANSWER_MAX_MS = 300  # of a list with 100,000 operations


def test_every_filter_and_order_is_measured(tmp_path: Path) -> None:
    """Each takes a small part of what it may take with thirty times as many operations."""
    store = LocalEventStore(tmp_path, load_catalog())
    load_operations(store, _COMMANDS, END_MS)
    costs = list(search_costs(store, rounds=3))
    store.close()
    first = {(cost.filter, cost.order_by): cost for cost in costs if not cost.is_deep}
    assert set(first) == {(text, order_by) for text in FILTERS for order_by in ORDERS}
    assert any(cost.is_deep for cost in costs)
    for cost in costs:
        assert cost.cpu_ms < _ANSWER_MAX_MS / 3
    found = {text: first[text, ""].entries for text in FILTERS}
    assert found[""] == found["state = FAILED"] == 50
    assert found["reason = NO_SUCH_REASON"] == found["trace_id = 0123"] == 0


@pytest.mark.timeout(120)
async def test_an_open_overview_costs_little(tmp_path: Path) -> None:
    """Ten pages take less than a twentieth of a core, after a day of metrics of all commands."""
    shares = await overview_shares(tmp_path)
    assert 0 < shares["same"] < shares["different"]
    assert shares["same"] < 0.05
