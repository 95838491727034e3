"""`polystream restart PART`: start one part again, or several one after another, while the others go on."""

import argparse
import sys

from cli import compose
from cli.arguments import parts_meant
from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir, nothing_on
from cli.printable import write_error
from cli.running import find_platform
from mesh.supervisor_client import SupervisorClient, SupervisorError
from stack.supervisor.state import RunFolder
from stack.supervisor.state_socket import SOCKET_NAME


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "part",
        metavar="PART",
        help="a process or an engine, as `status` names it; `gateway` means every gateway, `lane` every lane",
    )
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop each part as `down` would, and start it again: 0 when it is ready, 1 when it is not, 2 when nothing runs.

    One that is not ready again is the last: those behind it go on as they are.
    """
    try:
        data_dir = choose_data_dir(arguments)
        if engine := compose.started_with(data_dir):
            command = compose.restart_command(engine, arguments.part)
            write_error(f"this platform runs in containers: `{command}` does it")
            return 2
        state = find_platform(data_dir)
        if state is None:
            raise nothing_on(data_dir)
    except NothingRunsError as error:
        write_error(error)
        return 2
    client = SupervisorClient(RunFolder(data_dir.resolve()).path / SOCKET_NAME, state.pid)
    # What it means none of, the supervisor refuses, and says what there is.
    for part in parts_meant(arguments.part, [each.name for each in state.processes]) or (arguments.part,):
        try:
            seconds = client.restart(part)
        except SupervisorError as error:
            write_error(error)
            return 1
        sys.stdout.write(f"{part} is ready again after {seconds:.1f} s\n")
        sys.stdout.flush()
    return 0
