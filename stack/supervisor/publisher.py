"""Telling a platform's state to other processes, whatever becomes of the disk and of the folder."""

import socket
from collections.abc import Callable
from contextlib import suppress

from stack.engines.spec import StackError
from stack.supervisor.lock import PlatformLock
from stack.supervisor.register import Register
from stack.supervisor.state import PlatformState, RunFolder
from stack.supervisor.state_socket import StateServer


class Publisher:
    """Tells the state by a socket, which needs no disk, and by a file, for when nobody answers any more.

    Where to look for both, the user's register says.

    Nothing of it raises an error: what can't be written now is written when it can be, and said once.
    """

    def __init__(self, folder: RunFolder, lock: PlatformLock, note: Callable[[str], None]) -> None:
        """`note` is told, once, what keeps the state from being written, and that it is written again."""
        self._folder = folder
        self._lock = lock
        self._note = note
        self._server = StateServer(folder.path)
        self._state: PlatformState | None = None
        self._register: Register | None = None
        self._trouble = ""

    def keep_registered(self, register: Register) -> None:
        """Have the platform in its user's register from now on, as far as that can be written, until `finish`."""
        self._register = register
        with suppress(OSError):  # who says --data-dir does without
            register.keep(self._folder.data_dir)

    def tell(self, state: PlatformState) -> None:
        """Tell `state` from now on."""
        self._state = state
        self._server.show(state.to_json())
        self._publish()

    def hand_on(self, control: Callable[[socket.socket], None] | None) -> None:
        """Let `control` have the connections of those who ask for more than the state; None ends that."""
        self._server.hand_on(control)

    def mend(self) -> None:
        """Make again what is missing: the folder, its lock, the socket, the file, the entry. For every few seconds."""
        if self._register is not None and not self._register.has(self._folder.data_dir):
            self.keep_registered(self._register)
        if self._trouble or not (self._lock.is_in_place() and self._folder.has_state()):
            self._publish()

    def finish(self) -> None:
        """Tell the last state to whoever waits for it, and no more."""
        if self._register is not None:  # while the lock is held: the next platform's entry stays
            self._register.forget(self._folder.data_dir)
        self._server.finish()

    def _publish(self) -> None:
        errors = []
        for step in (self._keep_lock, self._server.listen, self._write):
            try:
                step()
            except (OSError, StackError) as error:
                errors.append(str(error))
        trouble = errors[0] if errors else ""
        if bool(trouble) != bool(self._trouble):
            self._note(f"the state can't be written: {trouble}" if trouble else "the state is written again")
        self._trouble = trouble

    def _keep_lock(self) -> None:
        if not self._lock.is_in_place():
            self._folder.make()
            self._lock.take_again()

    def _write(self) -> None:
        if self._state is not None:
            self._folder.write(self._state)
