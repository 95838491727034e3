"""What one process tells on `/metrics`, as far as `top` shows it."""

import http.client
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from mesh.telemetry.metric_list import MetricSpec
from mesh.telemetry.prometheus import prometheus_name

_TIMEOUT_S: Final = 1.0
_ANSWER_MAX_BYTES: Final = 8 * 1024 * 1024  # well above what the 2,000 series of a process take
Labels = Mapping[str, str]
Keep = Callable[[Labels], bool]  # tells which series count


def _all(_: Labels) -> bool:
    return True


class ScrapeError(Exception):
    """A process does not tell its metrics; says why in a few words."""


class Scrape:
    """The metrics of one process at one moment."""

    def __init__(self, text: str) -> None:
        """Read Prometheus's text form. Raises ScrapeError."""
        self._samples: dict[str, list[tuple[Labels, float]]] = defaultdict(list)
        try:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    self._samples[sample.name].append((sample.labels, sample.value))
        except ValueError as error:
            raise ScrapeError("what it answers is no metrics") from error

    def total(self, spec: MetricSpec) -> float | None:
        """Return the sum over all series of a counter or a gauge; None where there is none."""
        samples = self._samples.get(prometheus_name(spec))
        return sum(value for _, value in samples) if samples else None

    def totals_by(self, spec: MetricSpec, name: str, keep: Keep = _all) -> dict[str, float]:
        """Return the sums over the series that are kept, by their value of one attribute."""
        sums: dict[str, float] = defaultdict(float)
        for labels, value in self._samples.get(prometheus_name(spec), ()):
            if keep(labels):
                sums[labels.get(label(name), "")] += value
        return dict(sums)

    def counts(self, spec: MetricSpec, keep: Keep = _all) -> dict[float, float]:
        """Return how many values of a histogram are at most each upper bound, over the series that are kept."""
        counts: dict[float, float] = defaultdict(float)
        for labels, value in self._samples.get(f"{prometheus_name(spec)}_bucket", ()):
            if keep(labels):
                counts[math.inf if labels["le"] == "+Inf" else float(labels["le"])] += value
        return dict(sorted(counts.items()))


def label(name: str) -> str:
    """Return an attribute's name as Prometheus has it."""
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def scrape(url: str) -> Scrape:
    """Ask a process, for a second at most between two parts of its answer. Raises ScrapeError."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", address.path, headers={"accept": "text/plain"})
        answer = connection.getresponse()
        body = answer.read(_ANSWER_MAX_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise ScrapeError("it does not answer") from error
    finally:
        connection.close()
    if answer.status != http.client.OK or len(body) > _ANSWER_MAX_BYTES:
        raise ScrapeError(f"it answers with {answer.status}, {len(body)} bytes")
    return Scrape(body.decode("utf-8", "replace"))
