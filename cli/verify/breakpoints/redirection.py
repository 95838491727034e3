"""Leads a service to an engine by way of the self-check's proxy: by the settings that it is started with."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FILE: Final = "proxies.json"
# By engine: the setting with its port, be it the port alone or an address with it.
_SETTINGS: Final = {
    "postgresql": "POSTGRES_PORT",
    "mongodb": "MONGODB_URL",
    "redis": "REDIS_URL",
}
PROXIED: Final = tuple(_SETTINGS)  # Kafka's clients go where the broker says, which knows of no proxy
_DIRECT: Final = "directConnection=true"  # so do MongoDB's, if they are not told to stay


def write_redirection(data_dir: Path, ports: Mapping[str, tuple[int, int]]) -> None:
    """Note an engine's own port and its proxy's, by the engine's name, for services that start from now on."""
    (data_dir / _FILE).write_text(json.dumps(ports), encoding="ascii")


def redirect(data_dir: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that lead to the proxies; none where there are no proxies."""
    path = data_dir / _FILE
    if not path.exists():
        return {}
    ports: dict[str, tuple[int, int]] = json.loads(path.read_text(encoding="ascii"))
    led = {
        _SETTINGS[engine]: re.sub(rf"(^|:){port}\b", rf"\g<1>{proxy_port}", environment.get(_SETTINGS[engine], ""))
        for engine, (port, proxy_port) in ports.items()
    }
    if url := led.get("MONGODB_URL"):
        led["MONGODB_URL"] = f"{url}{'&' if '?' in url else '?'}{_DIRECT}"
    return led
