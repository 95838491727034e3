"""Start one program as a child that does not outlive its parent, as another user where asked.

A script of the standard library, run by `python -I -S` with PARENT_PID UID KEEP_ACCESS PROGRAM ARGUMENTS,
that becomes the program. It does what a function between fork and exec would, without that one's danger
in a process with threads.
"""

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_NO_SETUID_FIXUP = 1 << 2  # access(2) counts the capabilities of an ordinary user, too
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1  # passes over the permissions of files and folders
_CAPABILITY_VERSION_3 = 0x20080522


def _prctl(*arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    padded = (*arguments, 0, 0, 0, 0)[:5]
    if libc.prctl(*(ctypes.c_ulong(argument) for argument in padded)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {arguments}: {os.strerror(ctypes.get_errno())}")


def _capset(capabilities: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(capabilities, capabilities, capabilities, 0, 0, 0)
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), f"capset: {os.strerror(ctypes.get_errno())}")


def become(uid: int, *, keep_access: bool) -> None:
    """Become another user; with `keep_access`, one that still reaches every file, through the exec too."""
    if keep_access:
        _prctl(_PR_SET_KEEPCAPS, 1)
        with contextlib.suppress(OSError):  # a container may not allow it, and few programs ask before they open
            _prctl(_PR_SET_SECUREBITS, _NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    if keep_access:
        _capset(1 << _CAP_DAC_OVERRIDE)
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def main(arguments: list[str]) -> None:
    """Become the program. Exits with 1 when the parent is gone already."""
    parent_pid, uid, keep_access, *argv = arguments
    if uid:
        become(int(uid), keep_access=keep_access == "1")
    if sys.platform == "linux":
        # After the change of user, which would clear it.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent_pid):
        sys.exit(1)
    os.execv(argv[0], argv)  # noqa: S606 - the whole purpose; no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
