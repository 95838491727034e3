"""Runs a service with its points wrapped: `python -m cli.verify.breakpoints DATA_DIR processor --store redis`.

The supervisor starts the services of a platform that is verified by it.
"""

from mesh import startup

startup.begin()
# ruff: noqa: E402 - what is imported from here on is not looked through for garbage

import sys

from cli.verify.breakpoints.launching import run_service

run_service(sys.argv[1:])
