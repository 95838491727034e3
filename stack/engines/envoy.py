"""Envoy's process: renders its configuration, then becomes Envoy.

`python -m stack.engines.envoy FILE EDGE_PORT ADMIN_PORT GATEWAY_PORT DASHBOARD_PORT OTLP_PORT`, all on the loopback
interface.
"""

import os
import sys
from pathlib import Path

from stack.edge.render import Address, EdgeConfig, envoy_argv, render_config
from stack.engines.spec import HOST


def main(arguments: list[str]) -> None:
    """Write the configuration to FILE and run Envoy on it."""
    file = Path(arguments[0])
    edge, admin, gateway, dashboard, otlp = (Address(HOST, int(port)) for port in arguments[1:])
    config = EdgeConfig(listen=edge, admin=admin, gateways=(gateway,), monitor_http=dashboard, otlp=otlp)
    file.write_text(render_config(config), encoding="utf-8")
    argv = [str(argument) for argument in envoy_argv(file)]
    os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
