"""The environment of everything that is started here: what it needs, by name, and nothing else.

Whoever starts the platform has variables that were meant for other programs: proxies, certificates, libpq's `PG*`,
options of Python, of Java and of the dynamic linker. The platform's processes would follow them, and work at one
person's and fail at another's. Only what stands here, in `bare_environment` and `download_environment` is passed on.
"""

import os
from collections.abc import Mapping
from typing import Final

from mesh.settings_base import ENV_FILE_VARIABLE, given_settings
from stack.engines.native.downloads import download_environment
from stack.engines.process import bare_environment

# Names a module, and its arguments, that is given the data folder and a service's command line, and runs it. The
# self-check sets it, and nobody else does: no setting.
LAUNCHER_VARIABLE: Final = "POLYSTREAM_SERVICE_LAUNCHER"


def service_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of ours that goes by these settings, and by no others."""
    # What it reads and writes is UTF-8, whatever the language of whoever starts it.
    return bare_environment() | {"PYTHONUTF8": "1"} | dict(settings)


def supervisor_environment() -> dict[str, str]:
    """Return the environment of the supervisor: the settings that this process was given, and what downloads need."""
    names = (ENV_FILE_VARIABLE, LAUNCHER_VARIABLE)
    others = {name: os.environ[name] for name in names if name in os.environ}
    return service_environment(given_settings(os.environ, None) | others) | download_environment()
