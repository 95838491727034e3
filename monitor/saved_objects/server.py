"""The few calls of OpenSearch Dashboards' HTTP API that put saved objects there; Kibana 7 answers them too."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar, cast

import httpx

from mesh.direct import http_options
from mesh.settings import DashboardsSettings

T = TypeVar("T")

# Whoever changes something has to send the header of the product that he speaks to: a browser that was lured to a
# foreign page can't. Each product ignores the other's.
_HEADERS: Final = {"osd-xsrf": "polystream", "kbn-xsrf": "polystream"}
_READY_STATES: Final = {"green", "yellow"}  # yellow: a plugin that is not needed here is unwell
_SETTINGS_PATHS: Final = ("/api/opensearch-dashboards/settings", "/api/kibana/settings")
_FORBIDDEN: Final = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
_RETRY_PAUSE_S: Final = 0.5
_SHOWN_CHARACTERS: Final = 300  # of an answer that is told
_SHOWN_ERRORS: Final = 5


class DashboardsError(Exception):
    """Why the objects are not there, and what to do about it, as a sentence."""


class _NotYetError(Exception):
    """The server is not there, or not ready: it may be in a moment."""


class DashboardsServer:
    """OpenSearch Dashboards or Kibana. Every call raises DashboardsError where it fails.

    `wait_max_s` of the settings begins when this is made, and bounds all calls together.
    """

    def __init__(self, settings: DashboardsSettings, pause_s: float = _RETRY_PAUSE_S) -> None:
        self._settings = settings
        self._pause_s = pause_s
        self._give_up_s = time.monotonic() + settings.wait_max_s
        self._http = httpx.Client(
            base_url=settings.url,
            timeout=settings.timeout_s,
            auth=(settings.user, settings.password.get_secret_value()) if settings.user else None,
            headers=_HEADERS,
            **http_options(ca_file=settings.ca_file, proxy_url=settings.proxy_url),
        )

    def wait_until_ready(self) -> None:
        """Return once the server takes requests."""
        self._until_done(self._check_status)

    def import_objects(self, name: str, content: str) -> int:
        """Put the objects of a file of JSON lines there, over those of the same ID; return how many they are."""
        answer = self._until_done(
            lambda: self._json(
                "POST",
                "/api/saved_objects/_import",
                params={"overwrite": "true"},
                files={"file": (name, content.encode(), "application/ndjson")},
            )
        )
        errors = answer.get("errors", [])
        if errors or not answer.get("success"):
            told = "; ".join(_error_text(error) for error in errors[:_SHOWN_ERRORS])
            raise DashboardsError(
                f"{self._settings.url} refuses {len(errors)} of the objects: {told or 'it does not say why'}. "
                "It has to be OpenSearch Dashboards 2 or Kibana 7.17; delete the objects named here under "
                "Management, Saved Objects, and try again."
            )
        return int(answer["successCount"])

    def set_default_index_pattern(self, identifier: str) -> bool:
        """Make an index pattern the default where there is none; return whether it was made so."""
        path = self._settings_path()
        chosen = self._until_done(lambda: self._json("GET", path))["settings"].get("defaultIndex", {})
        if chosen.get("userValue"):
            return False
        self._until_done(lambda: self._json("POST", f"{path}/defaultIndex", json={"value": identifier}))
        return True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _settings_path(self) -> str:
        """Return where this product has its settings: the one thing that each has under its own name."""
        for path in _SETTINGS_PATHS:
            if self._until_done(partial(self._send, "GET", path)).status_code != httpx.codes.NOT_FOUND:
                return path
        raise DashboardsError(
            f"{self._settings.url} has no settings: DASHBOARDS_URL has to name OpenSearch Dashboards 2 or Kibana 7.17"
        )

    def _check_status(self) -> None:
        status = self._json("GET", "/api/status").get("status", {})
        state = status.get("overall", {}).get("state")
        if state not in _READY_STATES:
            raise _NotYetError(f"its state is {state}")

    def _until_done(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns, trying again while the server is not ready and there is time."""
        while True:
            try:
                return attempt()
            except _NotYetError as error:
                if time.monotonic() + self._pause_s > self._give_up_s:
                    raise DashboardsError(
                        f"{self._settings.url} was not ready within {self._settings.wait_max_s:.0f} s: {error}. "
                        "Look at its log, and check DASHBOARDS_URL; for a machine that needs longer, raise "
                        "DASHBOARDS_WAIT_MAX_S."
                    ) from error
                time.sleep(self._pause_s)

    def _json(self, method: str, path: str, **body: Any) -> Mapping[str, Any]:
        response = self._send(method, path, **body)
        if not response.is_success:
            raise DashboardsError(
                f"{self._settings.url} answers {method} {path} with {response.status_code}: "
                f"{response.text[:_SHOWN_CHARACTERS]}. It has to be OpenSearch Dashboards 2 or Kibana 7.17."
            )
        try:
            return cast(Mapping[str, Any], response.json())
        except ValueError as error:
            raise DashboardsError(
                f"{self._settings.url} answers {method} {path} with something else than JSON: DASHBOARDS_URL has to "
                "name OpenSearch Dashboards 2 or Kibana 7.17"
            ) from error

    def _send(self, method: str, path: str, **body: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **body)
        except httpx.TransportError as error:
            raise _NotYetError(f"{type(error).__name__}: {error}") from error
        if response.status_code in _FORBIDDEN:
            raise DashboardsError(
                f"{self._settings.url} answers {response.status_code} to {self._settings.user or 'nobody'}: set "
                "DASHBOARDS_USER and DASHBOARDS_PASSWORD to a user who may write saved objects"
            )
        if response.is_server_error:
            raise _NotYetError(f"it answers {response.status_code}: {response.text[:_SHOWN_CHARACTERS]}")
        return response


def _error_text(error: Mapping[str, Any]) -> str:
    cause = error.get("error", {})
    details = ", ".join(f"{name} {value}" for name, value in cause.items() if name != "type")
    return f"{error.get('type')} {error.get('id')}: {cause.get('type')}{f' ({details})' if details else ''}"
