"""Start Polystream from a checkout: `python3 start.py [COMMAND] [ARGUMENTS]`.

Needs nothing but Python 3.11, 3.12 or 3.13: makes `.venv`, installs the locked dependencies into it, and hands the
arguments to the `polystream` command there; `up` when there are none. Once all is installed, that takes milliseconds.
"""

# The syntax is Python 3.6's, so that an older Python gets as far as saying what to do.
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TextIO

OLDEST = (3, 11)
NEWEST = (3, 13)  # for a newer one, secantusdb has no wheel yet
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
POLYSTREAM = VENV / "bin" / "polystream"
STAMP = VENV / "polystream-installed.json"
HELP = ROOT / "cli" / "help.json"  # written by `python -m cli.help`
INSTALL_LOG = VENV / "install.log"
UNFINISHED = VENV / "unfinished"  # there while packages are installed, and after one that was cut short
LOCKS = {"runtime": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
SOURCES = ("mesh", "gateway", "processor", "monitor", "registry", "broker", "stack", "contracts", "cli", "gen/python")
NEEDS_DEV = ("bench", "docs", "test")  # what the benchmark compares with, and what builds the website, are in that lock
TICK_S = 0.2
SHOWN_MAX = 200  # characters of an installer's line
# Of Python's own variables. The others lead to modules, or an interpreter, that are none of the platform's.
PASSED_ON = ("PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE")

# What installers say, and what to do about it. The first that is found counts.
FULL = r"No space left|os error 28|Disk quota exceeded"
CLOSED = r"Permission denied|os error 13|Read-only file system|os error 30|Operation not permitted"
FORGED = r"[Hh]ash mismatch|DO NOT MATCH THE HASHES"
OFFLINE = (
    r"error sending request|Failed to fetch|Could not connect|dns error|[Cc]onnection (refused|reset|error)"
    r"|name resolution|timed out|[Nn]etwork is unreachable|ProxyError|[Cc]ertificate|Retrying \(Retry"
    r"|Could not find a version"
)
REMEDIES = {
    FULL: f"the disk is full. Free about 1 GB where {ROOT} and your package cache are, and run this again.",
    CLOSED: f"a folder can't be written. Run this as the user that owns {ROOT}, or make a clone of your own.",
    FORGED: "a downloaded package is not the one that was locked. Check the package index that you use.",
    OFFLINE: "the package index can't be reached. Check the network, the proxy (HTTPS_PROXY) and the index "
    "(UV_DEFAULT_INDEX), and run this again; what was downloaded is kept.",
}


class InstallError(Exception):
    """Why it can't go on, with the remedy."""


def main(arguments: "list[str]") -> int:
    """Install what is missing, then become the `polystream` command."""
    began = time.monotonic()
    arguments = arguments or ["up"]
    open_closed_streams()
    told = told_at_once(arguments)
    if told:
        write(sys.stdout, told)
        return 0
    try:
        check_machine()
        install("dev" if arguments[0] in NEEDS_DEV else "runtime")
    except (InstallError, OSError) as error:
        said = str(error)
        write(sys.stderr, f"polystream: {said if isinstance(error, InstallError) else remedy_for(said) or said}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name in PASSED_ON
    }
    environment["POLYSTREAM_START_TIME"] = repr(began)
    # Not by the script: where the path is long, a shell reads its first line, and takes a $ in it as its own.
    os.execve(str(PYTHON), [str(PYTHON), "-P", "-m", "cli", *arguments], environment)  # noqa: S606 - no shell is wanted
    return 0  # type: ignore[unreachable] # ruff does not know that execve never returns


def told_at_once(arguments: "list[str]") -> str:
    """Return the help, or the version, that is asked for; empty where something else is, or all is installed.

    Nobody waits for an installation to read what the command line takes. Once it is there, it tells that itself.
    """
    if arguments == ["--version"]:
        found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        return "polystream {}\n".format(found.group(1)) if found else ""
    words = [word for word in arguments if word not in ("-h", "--help")]
    if arguments[0] == "help":
        words = words[1:]
    elif words == arguments:
        return ""
    if is_installed("dev" if words[:1] and words[0] in NEEDS_DEV else "runtime"):
        return ""
    return str(json.loads(HELP.read_text(encoding="utf-8")).get(" ".join(words), ""))


def open_closed_streams() -> None:
    """Give /dev/null for a stream that this process was started without: a file opened later would take its place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - for as long as the process lives


def check_machine() -> None:
    """Raise InstallError where the packages have nothing for this Python, or the engines for this system."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise InstallError(
            f"Python 3.11, 3.12 or 3.13 is needed, and this is {sys.version.split()[0]}. Install one of them "
            "(python.org, or your system's packages), then run it by its name: `python3.11 start.py`."
        )
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise InstallError(
            "the packages have nothing for this build of Python: PyPy, or CPython without its global lock. "
            "Install the ordinary CPython 3.11, 3.12 or 3.13, then run it by its name: `python3.11 start.py`."
        )
    if os.name != "posix":
        raise InstallError("Linux or macOS is needed. On Windows, use WSL.")


def install(wanted: str) -> None:
    """Install the `wanted` set (runtime, or dev with the tests' tools) unless it is there already."""
    if is_installed(wanted):
        return
    if not os.access(str(VENV if VENV.is_dir() else ROOT), os.W_OK):
        raise InstallError(
            f"{ROOT} can't be written, and the dependencies are to be installed there. "
            "Run this as the user that owns it, or make a clone of your own."
        )
    import fcntl  # noqa: PLC0415 - not before it is sure to be no Windows

    VENV.mkdir(exist_ok=True)
    with (VENV / "install.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another start.py, which is installing")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed(wanted):
            try:
                install_all("dev" if has_dev_tools() else wanted)
            finally:
                give_to_owner()


def is_installed(wanted: str) -> bool:
    """Tell whether the stamp says that this set, or a larger one, is installed from these very files."""
    stamp = read_stamp()
    return (
        can_run(POLYSTREAM)
        and can_run(PYTHON)
        and stamp.get("fingerprint") == fingerprint()
        and stamp.get("set") in (wanted, "dev")
    )


def can_run(program: Path) -> bool:
    """Tell whether a program is there, the one that it may be a link to included."""
    return os.access(str(program), os.X_OK)


def has_dev_tools() -> bool:
    """Tell whether the tests' tools are there: an installation keeps them then."""
    return read_stamp().get("set") == "dev" or (VENV / "bin" / "pytest").exists()


def read_stamp() -> "dict[str, str]":
    """Return what the last complete installation left; empty when there was none."""
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def fingerprint() -> str:
    """Return a hash of all that an installation depends on."""
    digest = hashlib.sha256(os.fsencode(f"{ROOT}\0{sys.version}\0"))
    for path in (ROOT / "pyproject.toml", *LOCKS.values()):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def install_all(chosen: str) -> None:
    """Make the environment and install everything, telling each step."""
    INSTALL_LOG.write_text("")
    lock = LOCKS[chosen]
    if not venv_fits():
        # Without pip in it, which takes 3 s and which uv makes up for.
        step("making .venv", [sys.executable, "-m", "venv", "--without-pip", str(VENV)])
    install_uv(lock)
    into = ["--python", str(PYTHON)]
    sync = [str(UV), "pip", "sync", "--require-hashes", "--compile-bytecode", *into, str(lock)]
    # Packages of which a full disk, or a kill, has let only a part be written look as if they were installed.
    sync += ["--reinstall"] if UNFINISHED.exists() else []
    UNFINISHED.touch()
    step("installing the locked packages", sync)  # not counted: some are for one Python or system alone
    # By the folder that it runs in: a # in the path would end it.
    editable = [str(UV), "pip", "install", "--no-deps", "--no-build-isolation", *into, "--editable", "."]
    step("installing polystream", editable)
    make_paths_relative()
    step("compiling polystream", [str(PYTHON), "-m", "compileall", "-q", *(str(ROOT / source) for source in SOURCES)])
    UNFINISHED.unlink()
    STAMP.write_text(json.dumps({"fingerprint": fingerprint(), "set": chosen}))


def make_paths_relative() -> None:
    """Lead the environment to the checkout by a relative path: Python reads an absolute one in the user's locale.

    In the C locale, a path with other characters would end every Python of the environment at its start.
    """
    for file in VENV.glob("lib/python*/site-packages/_polystream.pth"):
        folders = [os.fsdecode(line) for line in file.read_bytes().splitlines()]
        file.write_bytes(os.fsencode("".join(os.path.relpath(each, str(file.parent)) + "\n" for each in folders)))


def give_to_owner() -> None:
    """Where root installs into another user's checkout, let what it has made there belong to that user.

    Its owner could not replace it otherwise, nor remove it.
    """
    owner = ROOT.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for made in (VENV, *(cache for source in SOURCES for cache in (ROOT / source).glob("**/__pycache__"))):
        os.lchown(str(made), owner.st_uid, owner.st_gid)
        for folder, folders, files in os.walk(str(made)):
            for name in (*folders, *files):
                os.lchown(os.path.join(folder, name), owner.st_uid, owner.st_gid)  # noqa: PTH118 - quicker by far


def venv_fits() -> bool:
    """Tell whether `.venv` is one, of this Python's version, and its Python is still there."""
    try:
        version = re.search(rb"^version\w*\s*=\s*(\d+)\.(\d+)", (VENV / "pyvenv.cfg").read_bytes(), re.MULTILINE)
    except OSError:
        return False
    return version is not None and tuple(map(int, version.groups())) == sys.version_info[:2] and can_run(PYTHON)


def install_uv(lock: Path) -> None:
    """Install the locked uv by pip, checked by its hashes."""
    requirement = locked("uv", lock)
    version = requirement.split()[0][len("uv==") :]
    if version in uv_version():
        return
    with tempfile.NamedTemporaryFile("w", suffix=".txt", dir=str(VENV)) as file:
        file.write(requirement)
        file.flush()
        options = ["--quiet", "--force-reinstall", "--no-deps", "--require-hashes"]  # one may be there, and damaged
        step(f"fetching uv {version}", [*pip_command(), "install", *options, "--requirement", file.name])


def uv_version() -> str:
    """Return what the installed uv says of itself; nothing where it is missing, or damaged by a full disk."""
    try:
        return subprocess.check_output([str(UV), "--version"], stderr=subprocess.DEVNULL).decode()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return ""


def pip_command() -> "list[str]":
    """Return a pip that installs into `.venv`: this Python's own, else the one that comes with Python."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", str(PYTHON)]
    if not importlib.util.find_spec("ensurepip"):
        raise InstallError("this Python has neither pip nor ensurepip. On Debian and Ubuntu: apt install python3-venv.")
    step("making pip", [str(PYTHON), "-m", "ensurepip", "--default-pip"])
    return [str(PYTHON), "-m", "pip"]


def locked(name: str, lock: Path) -> str:
    """Return the lines of one package in a lock file: its version and hashes."""
    found = re.search(rf"^{re.escape(name)}==[^\n]*\\\n(?:    --hash[^\n]*\n)+", lock.read_text(), re.MULTILINE)
    if not found:
        raise InstallError(f"{lock.name} does not lock {name}. Restore it: git checkout -- {lock.name}")
    return found.group(0)


def step(title: str, command: "list[str]") -> None:
    """Run one step of the installation, showing that it goes on. Raises InstallError when it fails."""
    began = time.monotonic()
    with INSTALL_LOG.open("ab+") as log:
        start = log.seek(0, os.SEEK_END)
        process = subprocess.Popen(  # noqa: S603 - pip, uv and Python, with arguments from above
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=installer_environment(), cwd=str(ROOT)
        )
        with process:
            while not has_ended(process):
                show_running(title, time.monotonic() - began)
        log.seek(start)
        output = log.read().decode("utf-8", "replace")
    say(f"{title} … {time.monotonic() - began:.1f} s")
    if process.returncode != 0:
        raise InstallError(explain(title, output))


def has_ended(process: "subprocess.Popen[bytes]") -> bool:
    """Wait for a moment, and tell whether the process has ended."""
    try:
        process.wait(TICK_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def installer_environment() -> "dict[str, str]":
    """Return the environment of pip and uv: the user's, less what would lead them elsewhere than `.venv`."""
    elsewhere = ("PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    # uv does not read pip's settings: hand on the index and the certificates.
    for theirs, ours in (("PIP_INDEX_URL", "UV_DEFAULT_INDEX"), ("PIP_CERT", "SSL_CERT_FILE")):
        if theirs in environment:
            environment.setdefault(ours, environment[theirs])
    if not has_cache(environment):
        environment["UV_NO_CACHE"] = "1"
    return environment


def has_cache(environment: "dict[str, str]") -> bool:
    """Tell whether this user may keep uv's cache where it belongs: it would end otherwise, where pip does without.

    Root does not keep one in another user's home, who could not write to it any more.
    """
    base = Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or "/nonexistent") / ".cache")
    folder = Path(environment.get("UV_CACHE_DIR") or base / "uv").absolute()
    there = next(each for each in (folder, *folder.parents) if os.path.exists(str(each)))  # noqa: PTH110 - never raises
    return os.access(str(there), os.W_OK) and (os.geteuid() != 0 or there.stat().st_uid == 0)


def explain(title: str, output: str) -> str:
    """Return what went wrong, in one message with a remedy."""
    lines = [line for line in output.splitlines() if line.strip()]
    for pattern, remedy in REMEDIES.items():
        found = [match for match in (re.search(pattern, line) for line in lines) if match]
        if found:
            # The end of a long line says what it is about; the paths before it may be long.
            line = found[-1].string
            said = line[max(0, min(found[-1].start(), len(line) - SHOWN_MAX)) :][:SHOWN_MAX]
            return f"{title} failed: {remedy}\n  {said}"
    ending = ["  " + line[:SHOWN_MAX] for line in lines[-8:]]
    return "\n".join([f"{title} failed; all of its output is in {INSTALL_LOG}. It ends:", *ending])


def remedy_for(said: str) -> str:
    """Return what to do about an error of the system, with its own words; nothing where that is not known."""
    found = (f"{remedy}\n  {said}" for pattern, remedy in REMEDIES.items() if re.search(pattern, said))
    return next(found, "")


def show_running(title: str, seconds: float) -> None:
    """On a terminal, show the step that runs."""
    if sys.stdout.isatty():
        write(sys.stdout, "\r" + f"{title} … {seconds:.1f} s"[: shutil.get_terminal_size().columns - 1])


def say(text: str) -> None:
    """Write one line, over the one that is shown on a terminal."""
    write(sys.stdout, ("\r\033[K" if sys.stdout.isatty() else "") + text + "\n")


def write(stream: "TextIO", text: str) -> None:
    """Write to a stream, in the characters that it has. One that takes nothing any more gets nothing, and ends nothing.

    What goes on does not go on for whoever looks at it.
    """
    try:
        stream.write(text.encode(stream.encoding or "ascii", "backslashreplace").decode(stream.encoding or "ascii"))
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
