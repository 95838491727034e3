"""A place with a shell in it: whatever a user may have around the command, without anything of it around the tests.

Each place has mounts of its own, which the machine does not see and which end with it::

    with Place("mount -t tmpfs -o size=60m none /mnt") as place:
        ended = place.run(["python3", "start.py"], shell='umask 077; exec "$@" <&-', user=1, environment={})
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from tests.support.unavailable import UnavailableError

_TIMEOUT_S: Final = 300
_READY: Final = b"ready\n"


class Place:
    """A namespace of mounts, and commands run in it as a shell would."""

    def __init__(self, mounts: str = "") -> None:
        """`mounts` is what a shell runs in it first. Raises UnavailableError where this user may not mount."""
        if os.geteuid() != 0:
            raise UnavailableError("mounts of a test's own: run the tests as root")
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-ec", f"{mounts}\necho ready; read -r end"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() != _READY:
            said = self._holder.stderr.read().decode()
            self.close()
            raise UnavailableError(f"mounts of a test's own: {said.strip()}")

    @property
    def pid(self) -> int:
        """A process that is in it; /proc/PID/root is the place's root folder."""
        return self._holder.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it. What runs in it still has its mounts."""
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            assert pipe is not None
            pipe.close()
        self._holder.wait()

    def run(
        self,
        command: Sequence[str],
        *,
        shell: str = 'exec "$@"',
        user: int = 0,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `user`, with an environment that is complete."""
        return subprocess.run(
            self.line(command, shell=shell, user=user, cwd=cwd),
            env=dict(os.environ if environment is None else environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=_TIMEOUT_S,
            check=False,
        )

    def line(
        self, command: Sequence[str], *, shell: str = 'exec "$@"', user: int = 0, cwd: Path | None = None
    ) -> list[str]:
        """Return the command line that enters the place, becomes the user and runs the command by the shell."""
        enter = ["/usr/bin/nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", f"--wdns={cwd or '/'}"]
        become = ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        return [*enter, *become, "/bin/sh", "-c", shell, "sh", *command]
