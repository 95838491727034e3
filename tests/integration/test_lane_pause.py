"""A lane is paused and resumed, on a real broker: nothing is lost, order is kept, and it lasts over restarts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import redis
from polystream.monitor.v1.lane_control_pb2 import PauseLaneRequest, ResumeLaneRequest
from polystream.monitor.v1.lane_control_pb2_grpc import LaneControlServiceStub
from polystream.monitor.v1.part_health_pb2 import ListPartHealthRequest, PartHealth
from polystream.monitor.v1.part_health_pb2_grpc import PartHealthServiceStub
from polystream.v1.contents_pb2 import CacheContentRequest, Content
from polystream.v1.operations_pb2 import Operation

from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.platform import CHECKOUT, EngineSet
from tests.support.ports import free_ports
from tests.support.waiting import eventually

pytestmark = [pytest.mark.timeout(300), pytest.mark.slow]
_CONTENTS = range(1, 31)
_VERSIONS = 10
_TIMEOUT_S = 40.0
_LANE = "lane-redis"


class Monitor:
    """The monitor as a process, which a test kills and starts again."""

    def __init__(self, engines: EngineSet, folder: Path) -> None:
        ports = free_ports()
        self.address = f"127.0.0.1:{ports.otlp}"
        self._folder = folder
        self._environment = engines.environment | {
            "MONITOR_OTLP_PORT": str(ports.otlp),
            "MONITOR_HTTP_PORT": str(ports.dashboard),
            "MONITOR_DATA_DIR": str(folder / "monitor"),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with (self._folder / "monitor.log").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "monitor"],
                env=self._environment,
                cwd=CHECKOUT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """Send SIGKILL, and wait until it is dead."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def lanes(self) -> list[PartHealth]:
        """Return what it has heard of each process of the lane last; nothing where it does not answer."""
        with grpc.insecure_channel(self.address) as channel:
            try:
                told = PartHealthServiceStub(channel).ListPartHealth(ListPartHealthRequest(), timeout=2)
            except grpc.RpcError:
                return []
        return [heard.part for heard in told.parts if heard.part.kind == _LANE]

    def pause(self) -> None:
        """Pause the lane, and wait until each of its processes says so."""
        request = PauseLaneRequest(lane=_LANE, principal="ana", justification="an index is made")
        with grpc.insecure_channel(self.address) as channel:
            LaneControlServiceStub(channel).PauseLane(request, timeout=5)
        eventually(self.are_paused, _TIMEOUT_S)

    def resume(self) -> None:
        """Resume it."""
        request = ResumeLaneRequest(lane=_LANE, principal="bia", justification="it is made")
        with grpc.insecure_channel(self.address) as channel:
            LaneControlServiceStub(channel).ResumeLane(request, timeout=5)

    def are_paused(self) -> bool:
        """Tell whether both processes say that they are."""
        told = self.lanes()
        return len(told) == 2 and all(lane.pause.principal == "ana" for lane in told)

    def lag(self) -> int:
        """Return how many records the lane's processes have yet to do; -1 where not both tell."""
        told = self.lanes()
        return sum(lane.lag.records for lane in told) if len(told) == 2 else -1


@pytest.fixture(scope="module")
def engines(lease: Lease) -> EngineSet:
    """Run what the lane of Redis stands on."""
    started = lease("postgresql", "redis", "kafka", "schema_registry")
    run_module(started, "stack.provision")
    return started


@pytest.fixture
def monitor(engines: EngineSet, tmp_path: Path) -> Iterator[Monitor]:
    """Run the monitor."""
    made = Monitor(engines, tmp_path)
    made.start()
    yield made
    made.kill()


@pytest.fixture
def lanes(engines: EngineSet, monitor: Monitor, tmp_path: Path) -> Iterator[list[LaneProcess]]:
    """Run two processes of the lane, which share its partitions."""
    settings = {"MONITOR_ADDRESS": monitor.address}
    made = [LaneProcess(engines, "redis", tmp_path, f"{_LANE}-{number}", settings) for number in range(2)]
    try:
        for lane in made:
            lane.start(wait=False)
        eventually(lambda: sorted(len(lane.partitions()) for lane in made) == [3, 3], _TIMEOUT_S)
        yield made
    finally:
        for lane in made:
            lane.stop()


@pytest.fixture
def wire(engines: EngineSet) -> Iterator[Wire]:
    """Return the test's own end of the topics."""
    opened = Wire(engines)
    yield opened
    opened.close()


def _send_all(wire: Wire, version: int) -> list[str]:
    """Send a version of every content, and return the commands' correlation IDs."""
    sent = [
        wire.send(CacheContentRequest(content_id=number, title=f"v{version}", kind=Content.Kind.SERIES))
        for number in _CONTENTS
    ]
    wire.flush()
    return sent


def _titles(engines: EngineSet) -> set[str | None]:
    with redis.Redis.from_url(engines.endpoints["redis"], decode_responses=True) as db:
        return {db.hget(f"conteudo:{number}", "titulo") for number in _CONTENTS}


def test_a_paused_lane_falls_behind_and_catches_up(
    engines: EngineSet, monitor: Monitor, lanes: list[LaneProcess], wire: Wire
) -> None:
    """Both of its processes pause, through a restart of either and of the monitor; then all is applied, in order."""
    wire.wait_all(_send_all(wire, 0))
    assert _titles(engines) == {"v0"}
    monitor.pause()

    waiting = [id_ for version in range(1, _VERSIONS + 1) for id_ in _send_all(wire, version)]
    eventually(lambda: monitor.lag() == len(waiting), _TIMEOUT_S)

    lanes[0].stop()
    lanes[0].start()
    eventually(lambda: monitor.are_paused() and monitor.lag() == len(waiting), _TIMEOUT_S)

    monitor.kill()
    assert all(lane.told()["pause"]["principal"] == "ana" for lane in lanes)
    monitor.start()
    eventually(lambda: monitor.are_paused() and monitor.lag() == len(waiting), _TIMEOUT_S)
    # The one that has come back takes its share: for a moment, some partitions are nobody's.
    eventually(lambda: sorted(p for lane in monitor.lanes() for p in lane.partitions) == list(range(6)), _TIMEOUT_S)
    wire.drain()
    assert not any(wire.receipts(id_) for id_ in waiting)
    assert _titles(engines) == {"v0"}

    monitor.resume()
    wire.wait_all(waiting)
    eventually(lambda: monitor.lag() == 0 and not monitor.are_paused(), _TIMEOUT_S)
    wire.drain()
    answers = [wire.receipts(id_) for id_ in waiting]
    assert {(len(answer), answer[0].state) for answer in answers} == {(1, Operation.SUCCEEDED)}
    assert _titles(engines) == {f"v{_VERSIONS}"}
    assert not any("is made anew" in lane.log for lane in lanes)  # the pause was taken for no fault


def test_a_paused_lane_gives_its_partitions_to_another(
    engines: EngineSet, monitor: Monitor, lanes: list[LaneProcess], wire: Wire
) -> None:
    """It stays a member of its group: what one leaves, the other takes, and reads nothing of it either."""
    monitor.pause()
    lanes[0].stop()
    eventually(lambda: lanes[1].partitions() == set(range(6)), _TIMEOUT_S)
    waiting = _send_all(wire, 77)
    eventually(lambda: [lane.lag.records for lane in monitor.lanes()] == [len(waiting)], _TIMEOUT_S)
    wire.drain()
    assert not any(wire.receipts(id_) for id_ in waiting)
    monitor.resume()
    wire.wait_all(waiting)
    assert _titles(engines) == {"v77"}
