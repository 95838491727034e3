"""`python -m tests.support.fuzz.record_run DATA_DIR --seed N --count N`: foreign records into a running platform.

Good commands go through the gateway meanwhile. Give it a platform of its own, freshly started, of one gateway and one
lane a store. It ends with 1 where a good command was not applied and told, or where the parts' counts of what they set
apart and passed over are not those of what is on the topics.

A part counts what it has done with. It reads some records again after it was started again, or after the broker gave
its partitions to another: a run in which that happens tells of it, and its counts may be greater.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import httpx

from mesh.schemas import RegistryClient
from mesh.settings import KafkaSettings, RegistrySettings
from tests.support.bounded import run_bounded
from tests.support.fuzz.record_commands import GoodCommands
from tests.support.fuzz.record_counts import Counts, Found, TopicCensus, compare
from tests.support.fuzz.record_parts import Parts
from tests.support.fuzz.record_sending import make_templates, send_records
from tests.support.fuzz.records import RecordGenerator
from tests.support.waiting import eventually

_RECORDS_A_COMMAND: Final = 100
_COMMANDS_MIN: Final = 21
_TAKEN_SHARE_MIN: Final = 0.8  # of what was sent: what a broker refuses tells nothing
_DONE_TIMEOUT_S: Final = 60.0
_DONE_RECORDS_A_SECOND_MIN: Final = 100
_CALL_TIMEOUT_S: Final = 300.0
_ROOT: Final = Path(__file__).parents[3]

T = TypeVar("T")


class RecordFuzz:
    """One run against one platform."""

    def __init__(self, data_dir: Path, seed: int, count: int) -> None:
        self._data_dir, self._seed, self._count = data_dir, seed, count
        self._timeout_s = _DONE_TIMEOUT_S + count / _DONE_RECORDS_A_SECOND_MIN
        self._parts = Parts(data_dir)
        endpoints = self._parts.state.endpoints
        self._kafka = KafkaSettings(bootstrap_servers=str(endpoints["kafka"]))
        self._registry_url, self._rest_url = str(endpoints["schema_registry"]), str(endpoints["rest"])
        self._registry = RegistryClient(RegistrySettings(url=self._registry_url))
        self._census = TopicCensus(self._kafka, self._registry)
        self._commands = GoodCommands(self._rest_url)
        self._taken: tuple[Counts, Found] = ({}, Found())  # the counts that the topics were last read at

    def run(self) -> list[str]:
        """Send everything and return what is wrong, a line each."""
        before = self._parts.memory_mib()
        sent = self._timed("sent", self._send)
        faults = self._timed("all good commands told", lambda: self._commands.faults(self._timeout_s))
        faults += self._timed("all counted", lambda: self._count_faults(sent))
        faults += self._timed("all stories told", lambda: self._commands.story_faults(_DONE_TIMEOUT_S))
        faults += self._timed("all listed", self._command_line_faults)
        faults += self._parts.started_again() + self._health_faults()
        # Once more, a while later: nothing may be counted twice.
        faults += [fault for fault in compare(self._taken[1], self._parts.counts()) if fault not in faults]
        found = self._taken[1]
        _say(f"{len(self._commands.ids)} good commands; foreign records in their stories: {self._commands.repeated()}")
        _say(f"foreign records that are commands: {len(found.commands)}")
        _say(f"on the topics: {dict(found.records)}, not unpacked: {dict(found.not_unpacked)}")
        _say(f"dead letters of lanes: {dict(found.reasons)}, of others: {found.foreign_letters}")
        _say(f"receipts: {dict(found.receipts)}; told of by no event: {dict(found.tell_nothing)}")
        _say(f"counted: {self._parts.counts()}")
        _say(f"memory in MiB, before and after: {_side_by_side(before, self._parts.memory_mib())}")
        self._commands.close()
        self._registry.close()
        return faults

    def _timed(self, what: str, step: Callable[[], T]) -> T:
        began_s = time.monotonic()
        result = step()
        _say(f"{what} after {time.monotonic() - began_s:.1f} s")
        return result

    def _send(self) -> int:
        """Send good commands and foreign records side by side; return how many of these."""
        templates = make_templates(self._registry, self._registry_url)
        count = max(_COMMANDS_MIN, self._count // _RECORDS_A_COMMAND)
        self._commands.send(1)  # some records forge a good command's ID: there has to be one
        with ThreadPoolExecutor(1) as others:
            done = others.submit(self._commands.send, count - 1)
            generator = RecordGenerator(self._seed, templates, self._commands.ids)
            sent = send_records(self._kafka.bootstrap_servers, generator, self._count)
            done.result()
        return sent

    def _count_faults(self, sent: int) -> list[str]:
        """Wait until the parts' counts are those of what is on the topics; return where they do not come to that."""
        try:
            eventually(self._is_counted, self._timeout_s, interval_s=0.5)
        except AssertionError:
            counts, found = self._taken
            return compare(found, counts) or [f"the parts are behind: {self._parts.lag_records()} records"]
        taken = self._taken[1].records
        if taken.total() < _TAKEN_SHARE_MIN * sent:
            return [f"the broker took only {dict(taken)} of {sent} records"]
        return []

    def _is_counted(self) -> bool:
        """Read the topics, where anything was counted since the last time, and compare."""
        if self._parts.lag_records() > 0:
            return False
        counts = self._parts.counts()
        if counts != self._taken[0]:
            self._taken = counts, self._census.take()
        return not compare(self._taken[1], counts)

    def _health_faults(self) -> list[str]:
        health = httpx.get(f"{self._rest_url}/health").json()
        return [] if health["status"] == "HEALTHY" else [f"health: {json.dumps(health)[:2000]}"]

    def _command_line_faults(self) -> list[str]:
        """List, show and plan to send again the dead letters."""
        listed = self._call("dlq", "list", "--json")
        letters = json.loads(listed.stdout)["letters"] if listed.returncode == 0 else []
        runs = [listed, self._call("dlq", "list"), self._call("dlq", "redrive", "--all", "--dry-run", "--json")]
        runs += [self._call("dlq", "show", one["letter"]) for one in letters[:1]]
        faults = [
            f"{done.args[3:6]} ended with {done.returncode}: {done.stderr[-500:]}"
            for done in runs
            if done.returncode != 0 or "\x1b" in done.stdout or "\x9b" in done.stdout
        ]
        return faults if letters else [*faults, "there are no dead letters"]

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = (sys.executable, "-m", "cli", *arguments, "--data-dir", str(self._data_dir))
        return run_bounded(argv, timeout_s=_CALL_TIMEOUT_S, cwd=_ROOT)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a program of its own


def _side_by_side(before: Mapping[str, int], after: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size} {after.get(name, 0)}" for name, size in before.items())


def main() -> int:
    """Run, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fuzz.record_run", description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    parser.add_argument("--count", type=int, default=100_000)
    arguments = parser.parse_args()
    _say(f"seed {arguments.seed}, {arguments.count} records")
    faults = RecordFuzz(arguments.data_dir.resolve(), arguments.seed, arguments.count).run()
    _say("\n".join(faults) or "nothing found")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
