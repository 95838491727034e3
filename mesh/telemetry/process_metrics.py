"""What every process tells of itself: processor time, memory, threads, files, its age."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import psutil

from mesh.telemetry.metric_list import CPU_TIME, FILES, MEMORY, THREADS, UPTIME, MetricSpec
from mesh.telemetry.names import CPU_MODE


class Observe(Protocol):
    """How a metric is registered, as `mesh.telemetry.metrics.Metrics.observe` does."""

    def __call__(
        self, spec: MetricSpec, read: Callable[[], Iterable[tuple[int | float, Mapping[str, str]]]], /
    ) -> None:
        """Have the series of a metric read."""
        ...


def observe_process(observe: Observe) -> None:
    """Register the metrics of this process."""
    process = psutil.Process()
    began_s = time.monotonic()

    def cpu_time() -> Iterable[tuple[float, Mapping[str, str]]]:
        times = process.cpu_times()
        return [(times.user, {CPU_MODE: "user"}), (times.system, {CPU_MODE: "system"})]

    observe(CPU_TIME, cpu_time)
    observe(MEMORY, lambda: [(int(process.memory_info().rss), {})])
    observe(THREADS, lambda: [(process.num_threads(), {})])
    observe(FILES, lambda: [(process.num_fds(), {})])
    observe(UPTIME, lambda: [(time.monotonic() - began_s, {})])
