"""`polystream restart PART`: start one part again, while the others go on."""

import argparse
import sys

from cli import compose
from cli.folders import add_data_dir
from cli.printable import write_error
from cli.running import NothingRunsError, find_platform
from mesh.supervisor_client import SupervisorClient, SupervisorError
from stack.supervisor.state import RunFolder
from stack.supervisor.state_socket import SOCKET_NAME


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("part", metavar="PART", help="a process or an engine, as `status` names it")
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop a part as `down` would, and start it again: 0 when it is ready, 1 when it is not, 2 when nothing runs."""
    if engine := compose.started_with(arguments.data_dir):
        write_error(f"this platform runs in containers: `{compose.restart_command(engine, arguments.part)}` does it")
        return 2
    try:
        state = find_platform(arguments.data_dir)
        if state is None:
            write_error(f"no platform runs on {arguments.data_dir}: start one with `up`, or say --data-dir")
            return 2
        client = SupervisorClient(RunFolder(arguments.data_dir.resolve()).path / SOCKET_NAME, state.pid)
        seconds = client.restart(arguments.part)
    except NothingRunsError as error:
        write_error(error)
        return 2
    except SupervisorError as error:
        write_error(error)
        return 1
    sys.stdout.write(f"{arguments.part} is ready again after {seconds:.1f} s\n")
    return 0
