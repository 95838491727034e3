"""Who runs the command line."""

import getpass


def principal_here() -> str:
    """Return who runs this command, as the system has it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
