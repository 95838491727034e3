"""Structured logs on standard output: one JSON object a line."""

import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from mesh.settings import TelemetrySettings
from mesh.telemetry.repeats import Repeats

KAFKA_LOG = logging.getLogger("kafka")  # librdkafka's own lines, among the others

# They say several times a second that they cannot connect, for as long as that lasts.
_REPETITIVE = (KAFKA_LOG.name, "opentelemetry")
_REPEAT_INTERVAL_S = 10.0
_OTLP_LOGGER = "opentelemetry.exporter.otlp.proto.grpc.exporter"  # of every exporter, which its lines name


def configure_logging(service: str, settings: TelemetrySettings) -> None:
    """Send structlog's and the standard library's records to standard output, with `service` in each of them.

    A line that Kafka's or OpenTelemetry's client repeats is written every 10 s at the most.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _naming(service),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    as_json = settings.log_format == "json"
    last = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.ExceptionRenderer(_traceback if as_json else _traceback_text),
                last,
            ],
        )
    )
    handler.addFilter(Repeats(_REPETITIVE, _REPEAT_INTERVAL_S))
    handler.addFilter(_is_untold)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("httpx", "httpcore", "pymongo", "faker", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _is_untold(record: logging.LogRecord) -> bool:
    """Leave out that metrics are not taken, every few seconds: `mesh.telemetry.metrics` tells it once."""
    return not (record.name == _OTLP_LOGGER and isinstance(record.args, tuple) and "metrics" in record.args)


def _naming(service: str) -> structlog.typing.Processor:
    """Name the service in every record: a context variable would be missing on other threads."""

    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add


_transform = ExceptionDictTransformer(show_locals=False)


def _traceback(exc_info: Any) -> list[dict[str, Any]]:
    """Return an exception's types and frames: neither locals nor what it says, since both may hold personal data."""
    return [{"exc_type": part["exc_type"], "frames": part["frames"]} for part in _transform(exc_info)]


def _traceback_text(exc_info: Any) -> str:
    return "\n".join(
        f"{part['exc_type']}" + "".join(f"\n  {f['filename']}:{f['lineno']} {f['name']}" for f in part["frames"])
        for part in _traceback(exc_info)
    )


def describe(error: BaseException) -> str:
    """Return what a log may say of an error from a store's client.

    Drivers put values into their messages (`Key (email)=(…) already exists`), which may be personal data. So the text
    has the exception's type, and the SQLSTATE or the server's code if there is one, and nothing else.
    """
    code = getattr(error, "sqlstate", None) or getattr(error, "code", None)
    name = type(error).__name__
    return f"{name} {code}" if isinstance(code, int | str) and code else name
