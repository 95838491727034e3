"""Writes the configuration of an Envoy that runs elsewhere.

    python -m stack.edge --listen 0.0.0.0:8443 --admin-socket /tmp/admin.sock \
        --grpc-gateway gateway:50051 --http-gateway gateway:8000 /etc/polystream/edge

It is `envoy.yaml` in the folder, readable by every user.
"""

import argparse
import sys
from pathlib import Path
from typing import Final

from stack.edge.render import Address, EdgeConfig, TlsFiles, render_config

CONFIG_NAME: Final = "envoy.yaml"
_MODE: Final = 0o644


def main() -> int:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(prog="python -m stack.edge", allow_abbrev=False)
    parser.add_argument("--listen", required=True, type=_address, help="HOST:PORT of the edge")
    parser.add_argument("--admin-socket", required=True, help="path of the socket of Envoy's own pages")
    parser.add_argument(
        "--grpc-gateway", required=True, type=_address, action="append", help="HOST:PORT for gRPC; may be repeated"
    )
    parser.add_argument(
        "--http-gateway", required=True, type=_address, action="append", help="HOST:PORT for the rest; may be repeated"
    )
    parser.add_argument("--certificate", help="PEM file, where clients come by TLS; Envoy finds it at this path")
    parser.add_argument("--key", help="PEM file of the certificate's key")
    parser.add_argument("--otlp", type=_address, help="HOST:PORT that takes the edge's spans; it has none without")
    parser.add_argument("--sampled-percent", type=float, default=1.0, help="share of the traces that begin at the edge")
    parser.add_argument("--access-log", action="store_true", help="one JSON line a request on standard output")
    parser.add_argument("folder", type=Path, help="where the file goes")
    arguments = parser.parse_args()
    if bool(arguments.certificate) != bool(arguments.key):
        parser.error("--certificate and --key belong together")
    config = EdgeConfig(
        listen=arguments.listen,
        admin_socket=arguments.admin_socket,
        grpc_gateways=tuple(arguments.grpc_gateway),
        http_gateways=tuple(arguments.http_gateway),
        tls=TlsFiles(arguments.certificate, arguments.key) if arguments.certificate else None,
        otlp=arguments.otlp,
        sampled_percent=arguments.sampled_percent,
        access_log=arguments.access_log,
    )
    arguments.folder.mkdir(parents=True, exist_ok=True)
    _replace(arguments.folder / CONFIG_NAME, render_config(config).encode())
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
