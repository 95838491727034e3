"""Envoy's admin pages, on a socket in the file system: where it is, and what they say of the gateways.

Nothing but the standard library: the supervisor imports this.
"""

import hashlib
import os
import socket
import tempfile
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

GATEWAY_CLUSTERS: Final = ("gateway_grpc", "gateway_http")  # as deploy/envoy/envoy.yaml.j2 names them
_PATH_MAX_BYTES: Final = 100  # sun_path holds 104 bytes on macOS, 108 on Linux, its end included
_TIMEOUT_S: Final = 1.0
_MAX_ANSWER_BYTES: Final = 65_536


def admin_socket(folder: Path) -> str:
    """Return the path of the socket of an Envoy that has `folder`: in it, or among temporary files if that is too long.

    Envoy makes it readable by its owner alone, wherever it is.
    """
    inside = str(folder.resolve() / "admin.sock")
    if len(os.fsencode(inside)) <= _PATH_MAX_BYTES:
        return inside
    name = hashlib.sha256(os.fsencode(inside)).hexdigest()[:16]
    return str(Path(tempfile.gettempdir()) / f"polystream-edge-{name}.sock")


def finds_gateways(path: str) -> bool:
    """Tell whether Envoy is live and has found a gateway healthy at both of its ports: until then it answers 503.

    Raises OSError where it does not answer.
    """
    connection = _Connection(path)
    try:
        connection.request("GET", "/clusters")
        answer = connection.getresponse()
        lines = answer.read(_MAX_ANSWER_BYTES).decode("utf-8", "replace").splitlines()
    except HTTPException as error:
        raise OSError("Envoy's admin socket answers no HTTP") from error
    finally:
        connection.close()
    healthy = {line.partition("::")[0] for line in lines if line.endswith("::health_flags::healthy")}
    return answer.status == HTTPStatus.OK and healthy.issuperset(GATEWAY_CLUSTERS)


class _Connection(HTTPConnection):
    """HTTP over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("envoy", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(self._path)
