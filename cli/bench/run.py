"""One run of the benchmark, from the first process to the report."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import httpx

from cli.bench.load import LoadError, find_h2load
from cli.bench.report import build_report
from cli.bench.rounds import Schedule, measure
from cli.bench.stage import broker_of_environment, peer_port, stage
from cli.bench.subjects import long_subjects, short_subjects
from stack.engines.spec import HOST

_PEER_PACKAGES = ("aiokafka", "fastapi")


def run_bench(schedule: Schedule, progress: Callable[[str], None], *, all_subjects: bool = False) -> dict[str, Any]:
    """Start everything, measure, stop everything, and return the report. Raises LoadError."""
    find_h2load()
    missing = [name for name in _PEER_PACKAGES if find_spec(name) is None]
    if missing:
        raise LoadError(f"the peer needs {' and '.join(missing)}: run `pip install 'polystream[bench]'` and try again")
    broker = broker_of_environment()
    progress("starting the engines, the gateway, Envoy and the peer")
    with stage(broker, everything=all_subjects) as running:
        subjects = short_subjects(running.context)
        if all_subjects:
            subjects += long_subjects(running.context)
        peer = httpx.get(f"http://{HOST}:{peer_port(running.context)}/health").json()
        results = measure(running, subjects, schedule, progress)
        return build_report(subjects, results, broker=broker or "embedded", peer=peer)
