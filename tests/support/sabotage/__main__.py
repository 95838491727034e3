"""Runs a service without safeguards: `python -m tests.support.sabotage SAFEGUARDS DATA_DIR MODULE ARGUMENTS`."""

from mesh import startup

startup.begin()
# ruff: noqa: E402 - what is imported from here on is not looked through for garbage

import sys

from cli.verify.breakpoints.launching import run_service
from tests.support.sabotage.safeguards import switch_off

switch_off(sys.argv[1].split(","), sys.argv[3:])
run_service(sys.argv[2:])
