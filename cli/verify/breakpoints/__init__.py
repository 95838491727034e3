"""Named points in the services' work, at which the self-check has a process of the platform that it verifies die."""

from typing import Final

LAUNCHER: Final = "cli.verify.breakpoints"  # the module that the supervisor starts a service by, so that it has them
