"""The standard streams of a command, where they are closed, broken, full, or lack a character that is written."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TextIO

_UNWRITABLE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
_STREAMS: Final = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def with_streams(command: Callable[[], int]) -> int:
    """Run a command and return its exit code, whatever its standard streams are like.

    One that was closed is /dev/null, and a character that it lacks is written as an escape. Where the output can't be
    written, it is said in one sentence; but where its reader has gone, such as `head`, there is nobody to tell.
    """
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            return command()
        finally:  # argparse leaves by an exception
            sys.stdout.flush()
    except BrokenPipeError:
        return 1
    except OSError as error:
        if error.errno not in _UNWRITABLE or error.filename is not None:
            raise
        with contextlib.suppress(OSError):
            sys.stderr.write(f"polystream: the output can't be written: {error.strerror}\n")
        return 1
    finally:
        _discard_rest()


class ToleratedStream:
    """A stream for showing how something goes, which goes on when nobody can be shown it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, unless the stream takes nothing."""
        self._tolerate(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, unless the stream takes nothing."""
        self._tolerate(self._stream.flush)

    def _tolerate(self, work: Callable[[], object]) -> None:
        try:
            work()
        except OSError:
            _to_null(self._stream)


def _open_closed() -> None:
    """Open what this process was started without: a file that is opened later would take its place."""
    for number, name, mode in _STREAMS:
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for as long as the process lives


def _discard_rest() -> None:
    """Let the interpreter end without a word about what could not be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _to_null(stream)


def _to_null(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
