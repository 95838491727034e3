"""Writes what an Envoy elsewhere runs on: its configuration, and the descriptor set that this one names.

    python -m stack.edge --listen 0.0.0.0:8000 --admin 127.0.0.1:9901 --gateway gateway:50051 /etc/polystream/edge

Both files go into the folder, by the names `envoy.yaml` and `descriptors.binpb`, readable by every user.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from stack.edge.render import DESCRIPTOR_SET, Address, EdgeConfig, render_config

CONFIG_NAME: Final = "envoy.yaml"
_DESCRIPTORS_NAME: Final = "descriptors.binpb"
_MODE: Final = 0o644


def main() -> int:
    """Read the arguments and write the files."""
    parser = argparse.ArgumentParser(prog="python -m stack.edge")
    parser.add_argument("--listen", required=True, type=_address, help="HOST:PORT of the edge")
    parser.add_argument("--admin", required=True, type=_address, help="HOST:PORT, on the loopback interface")
    parser.add_argument("--gateway", required=True, type=_address, action="append", help="HOST:PORT; may be repeated")
    parser.add_argument("--monitor", type=_address, help="HOST:PORT of the monitor's pages, for /docs")
    parser.add_argument("--otlp", type=_address, help="HOST:PORT that takes spans")
    parser.add_argument("--access-log", action="store_true", help="one JSON line a request on standard output")
    parser.add_argument("folder", type=Path, help="where the files go; Envoy finds them at the same path")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    descriptors = folder / _DESCRIPTORS_NAME
    config = EdgeConfig(
        listen=arguments.listen,
        admin=arguments.admin,
        gateways=tuple(arguments.gateway),
        monitor_http=arguments.monitor,
        otlp=arguments.otlp,
        descriptor_set_in_envoy=str(descriptors),
        access_log=arguments.access_log,
    )
    folder.mkdir(parents=True, exist_ok=True)
    _replace(descriptors, DESCRIPTOR_SET.read_bytes())
    _replace(folder / CONFIG_NAME, render_config(config).encode())
    return 0


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError(text)
    return Address(host, int(port))


def _replace(file: Path, content: bytes) -> None:
    """Write a file in one step: whoever starts on it meanwhile reads the whole, old or new."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.write_bytes(content)
    unfinished.chmod(_MODE)
    unfinished.replace(file)


if __name__ == "__main__":
    sys.exit(main())
