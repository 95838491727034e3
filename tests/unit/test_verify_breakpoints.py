"""The points at which the self-check has a process die: armed once, come to once, and none of them in a platform's own.

What a point does with SIGKILL is seen in tests/acceptance/test_verify.py; here it only tells that somebody came.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from polystream.v1.events_pb2 import CommandReceipt

from cli.verify.breakpoints import LAUNCHER
from cli.verify.breakpoints.points import GATEWAY, Breakpoint, BreakpointFolder
from cli.verify.breakpoints.redirection import redirect, write_redirection
from cli.verify.breakpoints.wrapping import HandlerFailure, find, wrap_gateway, wrap_lane, wrapped_methods
from mesh.settings import PostgresSettings
from processor.stores.redis import RedisStore
from stack.engines.spec import StackContext
from stack.ports import Ports
from stack.supervisor.services import service_stages

STORES = ("postgresql", "mongodb", "redis")


def test_a_point_has_its_effect_once(tmp_path: Path) -> None:
    """However often a process comes to it; the next arming has its own."""
    folder = BreakpointFolder(tmp_path)
    folder.reach(Breakpoint.AFTER_COMMIT, "redis")  # not armed: nothing happens
    folder.arm(Breakpoint.AFTER_COMMIT, "redis", 0)
    folder.reach(Breakpoint.AFTER_COMMIT, "mongodb")
    folder.reach(Breakpoint.AFTER_RECEIPT, "redis")
    assert folder.who_came(Breakpoint.AFTER_COMMIT, "redis") is None
    folder.reach(Breakpoint.AFTER_COMMIT, "redis")
    assert folder.who_came(Breakpoint.AFTER_COMMIT, "redis") == os.getpid()
    folder.reach(Breakpoint.AFTER_COMMIT, "redis")
    folder.disarm(Breakpoint.AFTER_COMMIT, "redis")
    assert folder.who_came(Breakpoint.AFTER_COMMIT, "redis") is None
    assert list((tmp_path / "breakpoints").iterdir()) == []


def test_a_process_that_comes_sends_itself_the_signal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGKILL, if nothing else was said."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    folder = BreakpointFolder(tmp_path)
    for effect in (signal.SIGKILL, signal.SIGSTOP):
        folder.disarm(Breakpoint.BEFORE_ANSWER, GATEWAY)
        folder.arm(Breakpoint.BEFORE_ANSWER, GATEWAY, effect)
        folder.reach(Breakpoint.BEFORE_ANSWER, GATEWAY)
        folder.reach(Breakpoint.BEFORE_ANSWER, GATEWAY)
    assert sent == [(os.getpid(), signal.SIGKILL), (os.getpid(), signal.SIGSTOP)]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put every method that is wrapped back in the end."""
    for method in {one.method for where in (*STORES, GATEWAY) for one in wrapped_methods(where)}:
        owner, name = find(method)
        monkeypatch.setattr(owner, name, getattr(owner, name))
    for store in STORES:
        owner, _ = find(next(one.method for one in wrapped_methods(store) if one.method.endswith(".apply")))
        monkeypatch.setattr(owner, "apply", owner.apply)


@pytest.mark.usefixtures("kept")
def test_every_point_is_one_of_a_method_that_there_is(tmp_path: Path) -> None:
    """A method that was renamed would leave a fault waiting for what never comes."""
    folder = BreakpointFolder(tmp_path)
    for store in STORES:
        wrap_lane(store, folder)
    wrap_gateway(folder)
    points = {one.point for where in (*STORES, GATEWAY) for one in wrapped_methods(where)}
    assert points == set(Breakpoint)


class _Delivery:
    """As much of one as is looked at."""

    def __init__(self, key: bytes) -> None:
        self.key = key


@pytest.mark.usefixtures("kept")
def test_what_is_applied_is_a_point_and_what_is_repeated_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a handler that is to fail does so for some keys, before anything is written."""
    answer = CommandReceipt(duplicate=True)

    def apply(_self: RedisStore, batch: Sequence[Any], _overdue: object) -> list[CommandReceipt]:
        return [answer for _ in batch]

    monkeypatch.setattr(RedisStore, "apply", apply)
    folder = BreakpointFolder(tmp_path)
    wrap_lane("redis", folder)
    store: Any = RedisStore.__new__(RedisStore)
    folder.arm(Breakpoint.AFTER_COMMIT, "redis", 0)
    store.apply([_Delivery(b"1")], frozenset())
    assert folder.who_came(Breakpoint.AFTER_COMMIT, "redis") is None
    answer.duplicate = False
    store.apply([_Delivery(b"1")], frozenset())
    assert folder.who_came(Breakpoint.AFTER_COMMIT, "redis") == os.getpid()
    folder.let_fail("redis", fails=True)
    keys, failed = [str(number).encode() for number in range(30)], 0
    for key in keys:
        try:
            store.apply([_Delivery(key)], frozenset())
        except HandlerFailure:
            failed += 1
    assert 0 < failed < len(keys)
    folder.let_fail("redis", fails=False)
    assert all(store.apply([_Delivery(key)], frozenset()) for key in keys)


def test_services_are_started_by_the_launcher_that_was_named_and_else_by_nothing(tmp_path: Path) -> None:
    """So a platform that nobody verifies has not even imported what wraps its methods."""
    specs = [spec for stage in service_stages(gateways=1, edge=False) for spec in stage]
    for launcher in ((), (LAUNCHER,)):
        context = StackContext(tmp_path, Ports(), PostgresSettings(), launcher=launcher)
        found = {spec.name: spec.command(context).argv[1:] for spec in specs}
        lead = ("-m", *launcher, str(tmp_path)) if launcher else ("-m",)
        assert found["gateway-0"] == (*lead, "gateway")
        assert found["lane-redis-0"] == (*lead, "processor", "--store", "redis")
        assert found["monitor"] == (*lead, "monitor")


def test_a_service_is_led_through_the_proxies_that_there_are(tmp_path: Path) -> None:
    """By its own settings, whatever else is in them; without proxies, they stay as they are."""
    environment = {
        "POSTGRES_PORT": "15432",
        "REDIS_URL": "redis://127.0.0.1:16379/0",
        "MONGODB_URL": "mongodb://u:p@127.0.0.1:27117/streaming_db?w=1",
    }
    assert redirect(tmp_path, environment) == {}
    write_redirection(tmp_path, {"postgresql": (15432, 1), "mongodb": (27117, 2), "redis": (16379, 3)})
    assert redirect(tmp_path, environment) == {
        "POSTGRES_PORT": "1",
        "REDIS_URL": "redis://127.0.0.1:3/0",
        "MONGODB_URL": "mongodb://u:p@127.0.0.1:2/streaming_db?w=1&directConnection=true",
    }
