"""The processes of the platform that a run is against: what they count, how far behind they are, their memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

from cli.running import find_platform
from mesh.health.report import PartReport, read_file
from stack.supervisor.state import PlatformState
from tests.support.fuzz.record_counts import Counts

_READY_FILES: Final = ("READY_FILE", "GATEWAY_READY_FILE", "MONITOR_READY_FILE")
_SERVICES: Final = ("lane-", "gateway-", "monitor")
_MIB: Final = 1024 * 1024


class Parts:
    """The processes as they were at first."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self.state = self._find()
        self._pids = {process.name: int(process.pid) for process in self.state.processes if process.pid}
        self._files = _files(self._pids)

    def counts(self) -> Counts:
        """Return what each service has counted, by its name."""
        return {name: dict(report.counts) for name, report in self._reports().items()}

    def lag_records(self) -> int:
        """Return how many records the services are behind, all together."""
        return sum(report.lag.records for report in self._reports().values() if report.lag is not None)

    def memory_mib(self) -> Mapping[str, int]:
        """Return the resident memory of each process, engines among them, in MiB."""
        return {name: psutil.Process(pid).memory_info().rss // _MIB for name, pid in sorted(self._pids.items())}

    def started_again(self) -> list[str]:
        """Return which of them are other processes now, a sentence each."""
        now = {process.name: process.pid for process in self._find().processes}
        return [f"{name} was started again" for name, pid in self._pids.items() if now.get(name) != pid]

    def _reports(self) -> dict[str, PartReport]:
        return {name: read_file(path).report for name, path in self._files.items()}

    def _find(self) -> PlatformState:
        state = find_platform(self._data_dir)
        assert state is not None, f"nothing runs on {self._data_dir}"
        return state


def _files(pids: Mapping[str, int]) -> dict[str, Path]:
    environments = {name: psutil.Process(pid).environ() for name, pid in pids.items() if name.startswith(_SERVICES)}
    return {
        name: Path(environment[variable])
        for name, environment in environments.items()
        for variable in _READY_FILES
        if variable in environment
    }
