"""Structured logs on standard output: one JSON object a line."""

import logging
import sys

import structlog

from mesh.settings import TelemetrySettings


def configure_logging(service: str, settings: TelemetrySettings) -> None:
    """Send structlog and the standard library's records alike to standard output."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
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
    structlog.contextvars.bind_contextvars(service=service)
    last = structlog.processors.JSONRenderer() if settings.log_format == "json" else structlog.dev.ConsoleRenderer()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.dict_tracebacks,
                last,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level)
    for noisy in ("httpx", "httpcore", "pymongo", "faker", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def describe(error: BaseException) -> str:
    """Return what a log may say of an error from a store's client.

    Drivers put values into their messages (`Key (email)=(…) already exists`), so only the type and, where
    there is one, the SQLSTATE or the server's code are said.
    """
    code = getattr(error, "sqlstate", None) or getattr(error, "code", None)
    name = type(error).__name__
    return f"{name} {code}" if isinstance(code, int | str) and code else name
