"""Envoy's process: renders its configuration, then becomes Envoy.

`python -m stack.engines.envoy FOLDER EDGE_PORT GRPC_PORT REST_PORT`: the configuration and the admin socket go into the
folder, and every port is on the loopback interface. `EdgeSettings` are read from the environment.
"""

import os
import sys
from pathlib import Path

from mesh.settings import EdgeSettings
from stack.edge.admin import admin_socket
from stack.edge.render import Address, EdgeConfig, TlsFiles, envoy_argv, render_config
from stack.engines.spec import HOST


def main(arguments: list[str]) -> None:
    """Write the configuration and run Envoy on it."""
    folder = Path(arguments[0])
    edge, grpc, rest = (Address(HOST, int(port)) for port in arguments[1:])
    settings = EdgeSettings()
    config = EdgeConfig(
        listen=edge,
        admin_socket=admin_socket(folder),
        grpc_gateways=(grpc,),
        http_gateways=(rest,),
        tls=TlsFiles(settings.certificate_file, settings.key_file) if settings.certificate_file else None,
        access_log=settings.access_log,
    )
    file = folder / "envoy.yaml"
    file.write_text(render_config(config), encoding="utf-8")
    argv = [str(argument) for argument in envoy_argv(file)]
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
