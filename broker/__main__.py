"""Serve the pocket broker: `python -m broker --port PORT --data-dir FOLDER`."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop

from broker.broker import Broker
from broker.server import BrokerConnection
from broker.store import BrokerStore

_HOST: Final = "127.0.0.1"


async def _serve(port: int, data_dir: Path) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    store = BrokerStore(data_dir)
    broker = Broker(store, _HOST, port)
    connections: set[BrokerConnection] = set()
    server = await loop.create_server(lambda: BrokerConnection(broker, connections), _HOST, port)
    tending = asyncio.create_task(broker.tend())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((tending, stopping), return_when=asyncio.FIRST_COMPLETED)
    server.close()
    for connection in tuple(connections):
        connection.close()
    tending.cancel()
    await broker.drain()
    store.close()


def main() -> None:
    """Serve until SIGTERM or SIGINT; then what was taken is on the disk."""
    arguments = argparse.ArgumentParser(prog="python -m broker", description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--data-dir", type=Path, required=True)
    given = arguments.parse_args()
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    uvloop.run(_serve(given.port, given.data_dir))


if __name__ == "__main__":
    main()
