"""Puts the index pattern and the dashboard into OpenSearch Dashboards or Kibana: `python -m monitor.saved_objects`.

It waits for the server at DASHBOARDS_URL, imports, makes `api_*` the default index pattern where there is none, and
ends; safe to repeat. With `--print` it writes the objects to standard output instead, as the file that stands in
`deploy/compose/dashboards`.
"""

import sys

import structlog

from mesh import startup
from mesh.settings import DashboardsSettings, TelemetrySettings
from mesh.telemetry.logs import configure_logging
from monitor.saved_objects.objects import FILE_NAME, INDEX_PATTERN_ID, saved_objects, to_ndjson
from monitor.saved_objects.server import DashboardsError, DashboardsServer

log = structlog.stdlib.get_logger(__name__)


def provision(settings: DashboardsSettings) -> None:
    """Put everything there. Raises DashboardsError."""
    server = DashboardsServer(settings)
    try:
        server.wait_until_ready()
        count = server.import_objects(FILE_NAME, to_ndjson(saved_objects()))
        made_default = server.set_default_index_pattern(INDEX_PATTERN_ID)
    finally:
        server.close()
    log.info("provisioned", objects=count, default_index_pattern="set" if made_default else "kept")


def main() -> int:
    """Do as the arguments say; 0 when all is there. Raises SettingsError."""
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(to_ndjson(saved_objects()))
        return 0
    configure_logging("saved-objects", TelemetrySettings())
    try:
        provision(DashboardsSettings())
    except DashboardsError as error:
        log.error("the dashboards are not provisioned", reason=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(startup.run(main))
