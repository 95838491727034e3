"""Whether a data folder can be worked with, told before anything is made in it, and reading what is in it."""

import errno
import os
import pwd
import stat
from pathlib import Path

from stack.engines.spec import StackError


def require_owner(data_dir: Path) -> None:
    """Raise StackError where root would leave its files in what belongs to another user, who could not start again.

    That is a data folder of another user's, and a new one that `sudo` would make in a folder of who called it. Whoever
    is root all the time, as in a container, has the new ones made.
    """
    if os.geteuid() != 0:
        return
    there = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    owner = there.stat().st_uid
    if owner == 0 or (there != data_dir and os.environ.get("SUDO_UID") != str(owner)):
        return
    user = _name(owner)
    raise StackError(
        f"{there} belongs to {user}, who could not start the platform any more once root has: "
        f"run this as {user}, without sudo, or choose another folder with --data-dir"
    )


def unwritable(data_dir: Path, error: OSError) -> str:
    """Return why a data folder can't be written, and what to do."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    remedy = "Free some space there" if full else "Give it to your user"
    return (
        f"the data folder {data_dir} can't be written ({error.strerror}). {remedy}, or choose another with --data-dir."
    )


def owner_of(path: Path) -> str:
    """Return the name of the user whom a file or folder belongs to."""
    try:
        return _name(path.stat().st_uid)
    except OSError:
        return "another user"


def read_regular_file(path: Path, max_bytes: int, *, of_user: int | None = None) -> bytes:
    """Return what is in a regular file. It waits for nobody, whatever is at that path: a pipe would have it wait.

    Raises ValueError where that is longer than `max_bytes`; OSError where it can't be read, is something else than a
    regular file, or is not `of_user`, by the user's ID.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or of_user not in {None, status.st_uid}:
            raise OSError(errno.EINVAL, "this is no regular file of this user", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise ValueError(f"{path} is longer than {max_bytes} bytes")
    return content


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
