"""The design that Polystream replaces, built as its own documentation would have it: the benchmark's peer.

FastAPI and pydantic on uvicorn with uvloop and httptools; a JSON body, checked by the rules that the gateway
checks; one aiokafka producer with acks=all, idempotent, awaited; the same topic layout and the same headers. One
process, as the gateway is. Run as `python -m cli.bench.peer`.
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from importlib.util import find_spec
from typing import Literal
from uuid import uuid4

import uvicorn
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import UnknownError  # type: ignore[import-untyped]
from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field

from cli.bench.payload import COMMAND, REST_PATH

_MAX_ID = 2**53 - 1
# Its default, 5 s, is shorter than a round: Envoy would send a request over a connection that is just being closed.
_KEEP_ALIVE_S = 600
_LINGER_MS = 0  # the fastest here: 6,900 commands/s; 1 ms gave 6,800, 5 ms 5,700


class RecordView(BaseModel):
    """The command, with the rules of the contract."""

    model_config = ConfigDict(extra="forbid")

    user_id: int = Field(gt=0, le=_MAX_ID)
    content_id: int = Field(gt=0, le=_MAX_ID)
    title: str = Field(min_length=1, max_length=300)
    kind: Literal["MOVIE", "SERIES", "DOCUMENTARY"]
    watched_seconds: int = Field(0, ge=0, le=86_400)
    position_percent: float = Field(0, ge=0, le=100)
    completed: bool = False
    watch_time: datetime | None = None
    request_id: str = Field("", max_length=128)


class Accepted(BaseModel):
    """The answer."""

    correlation_id: str
    command: str
    state: str
    user_id: int


def build_app(bootstrap_servers: str, topic: str) -> FastAPI:
    """Return the application; it connects to Kafka when it starts."""
    producer: AIOKafkaProducer
    idempotent = True

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        nonlocal producer, idempotent
        producer, idempotent = await _start_producer(bootstrap_servers)
        yield
        await producer.stop()

    app = FastAPI(lifespan=lifespan)

    @app.get("/healthz")
    async def health() -> dict[str, bool]:
        return {"idempotent": idempotent, "httptools": find_spec("httptools") is not None}

    @app.post(REST_PATH)
    async def record_view(command: RecordView, request: Request) -> Accepted:
        correlation_id = str(uuid4())
        headers = [
            ("correlation_id", correlation_id.encode()),
            ("command", COMMAND.encode()),
            ("traceparent", (request.headers.get("traceparent") or _new_traceparent()).encode()),
        ]
        value = command.model_dump_json().encode()
        await producer.send_and_wait(topic, value, key=str(command.user_id).encode(), headers=headers)
        return Accepted(correlation_id=correlation_id, command=COMMAND, state="ACCEPTED", user_id=command.user_id)

    return app


async def _start_producer(bootstrap_servers: str) -> tuple[AIOKafkaProducer, bool]:
    """Return a started producer, and whether it is idempotent.

    aiokafka asks for its producer ID in the protocol's first version, which the embedded broker does not answer.
    It then goes on with acks=all alone, which costs it less, if anything.
    """
    for idempotent in (True, False):
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=idempotent, linger_ms=_LINGER_MS
        )
        try:
            await producer.start()
        except UnknownError:
            await producer.stop()
        else:
            return producer, idempotent
    raise RuntimeError(f"the broker at {bootstrap_servers} takes no producer")


def _new_traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def main() -> None:
    """Serve on PEER_PORT until a signal."""
    app = build_app(os.environ["KAFKA_BOOTSTRAP_SERVERS"], os.environ["PEER_TOPIC"])
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        loop="uvloop",
        http=os.environ.get("PEER_HTTP", "auto"),  # httptools where it is installed, as uvicorn[standard] has it
        timeout_keep_alive=_KEEP_ALIVE_S,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
