"""The platform in surroundings that differ from a developer's: one table, each row by the README's own command.

Rows that start the platform combine what does not hide one another: all of it has to be borne at once. Rows that are
refused are refused in one sentence, before anything is made that would be in the way of the next start.
"""

import json
import os
import pty
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest

from tests.support.checkout_copy import copy_checkout, oldest_python, version_of
from tests.support.debian_root import debian_root, mounts_of
from tests.support.jumping_clock import JumpingClock
from tests.support.ordinary_user import folder_for_everybody
from tests.support.ports import free_offset
from tests.support.surroundings import Place
from tests.support.unavailable import UnavailableError
from tests.support.waiting import eventually

# Longer than a socket's path and a script's first line may be, with characters that shells, URLs and formats know.
_NEEDS_LESS: Final = (3, 11, 3)  # from here on, Python has what redis-py takes from a package before
_HARD_NAME: Final = "ação 100% #1 'x' & (HOME) " + "so-long-" * 16
_UID: Final = pwd.getpwnam("daemon").pw_uid  # an ordinary user, on every Linux
_PATH: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_ABOUT_INSTALLERS: Final = ("PIP_CERT", "PIP_INDEX_URL", "SSL_CERT_FILE", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
_INSTALLER: Final = {name: os.environ[name] for name in _ABOUT_INSTALLERS if name in os.environ}
_READY_TIMEOUT_S: Final = 90.0
_APPLY_TIMEOUT_S: Final = 30.0
_RESTART_TIMEOUT_S: Final = 60.0
_DAY_S: Final = 86_400
_MIB: Final = 2**20

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is around the command, and the command."""

    place: Place
    checkout: Path
    data_dir: str | None = None  # as it is said; the checkout's own without it
    python: str = "python3"
    before: tuple[str, ...] = ()  # what the command is run by
    options: Mapping[str, Any] = field(default_factory=dict)  # of Place.run

    def start(self, *arguments: str, **changed: Any) -> subprocess.CompletedProcess[str]:
        """Run `python3 start.py` to its end."""
        return self.place.run(self.line(*arguments), **({"cwd": self.checkout} | dict(self.options) | changed))

    def line(self, *arguments: str) -> list[str]:
        """Return the command's words."""
        where = () if self.data_dir is None else ("--data-dir", self.data_dir)
        return [*self.before, self.python, "start.py", *arguments, *where]

    def up(self, **changed: Any) -> subprocess.CompletedProcess[str]:
        """Start the platform on free ports."""
        return self.start("up", "--detach", "--gateways", "1", "--port-offset", str(free_offset()), **changed)

    def status(self, **changed: Any) -> dict[str, Any]:
        """Return what `status` says, which has to be that all is well."""
        said = self.start("status", "--json", **changed)
        assert said.returncode == 0, said.stdout + said.stderr
        report: dict[str, Any] = json.loads(said.stdout)
        assert report["status"] == "ready"
        return report

    def works(self) -> dict[str, Any]:
        """Return what `status` says, once a command has been through every store."""
        report = self.status()
        _apply(report["endpoints"]["rest"])
        return report

    def down(self, **changed: Any) -> None:
        """Stop the platform, which has to leave nothing."""
        report = self.start("status", "--json", **changed)
        stopped = self.start("down", **changed)
        assert (stopped.returncode, stopped.stderr) == (0, ""), stopped.stdout
        with suppress(ValueError):
            pids = [part["pid"] for part in json.loads(report.stdout)["processes"] if part["pid"]]
            assert not any(psutil.pid_exists(pid) for pid in pids)


def _apply(rest: str) -> None:
    """Have a command applied by its store."""
    with httpx.Client(base_url=rest, timeout=30) as client:
        accepted = client.post("/usuarios").raise_for_status().json()
        wait = f"/v1/operations/{accepted['correlation_id']}:wait"  # for ten seconds, each time
        eventually(lambda: client.post(wait).raise_for_status().json()["state"] == "SUCCEEDED", _APPLY_TIMEOUT_S)


def _is_one_sentence(said: str) -> bool:
    """Tell whether it is one line or two: what is wrong and what to do, and no traceback."""
    return "Traceback" not in said and len(said.strip().splitlines()) == 1


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """Return an ordinary user's checkout, at a hard place and without git, in which root was the first to install."""
    with folder_for_everybody() as folder:
        checkout = folder / _HARD_NAME
        copy_checkout(checkout)
        for path in (checkout, *checkout.rglob("*")):
            os.chown(path, _UID, _UID)
        with Place() as place:
            installed = place.run(
                [oldest_python()[1], "start.py", "status"],
                shell='umask 077; exec "$@"',
                environment=_PATH | _INSTALLER,
                cwd=checkout,
            )
        assert installed.returncode == 3, installed.stdout + installed.stderr
        yield checkout


@pytest.fixture
def around(checkout: Path, request: pytest.FixtureRequest) -> Iterator[Surroundings]:
    """Return root's own surroundings with an empty data folder at another hard place; a row's mounts by parameter."""
    with folder_for_everybody() as folder, Place(getattr(request, "param", "")) as place:
        data_dir = str(folder / f"dados {_HARD_NAME}")
        yield Surroundings(place=place, checkout=checkout, python=oldest_python()[1], data_dir=data_dir)


def test_an_ordinary_user_after_root(checkout: Path) -> None:
    """By the oldest Python, with nothing around: no environment, no input, no home, no terminal, no git, umask 077.

    Root, who has installed, has left nothing that the user could not replace; and starts nothing in the user's folder.
    """
    version, python = oldest_python()
    if version >= _NEEDS_LESS:
        raise UnavailableError(
            f"the oldest Python here is {python}, and the packages differ before 3.11.3; Debian 12 has such a one"
        )
    left = [path for path in checkout.rglob("*") if path.lstat().st_uid != _UID]
    assert left == []
    link = checkout.parent / "link"
    link.symlink_to(checkout)
    (checkout.parent / "data-link").symlink_to(checkout / "dados ação")
    (checkout / "dados ação").mkdir()
    os.chown(checkout / "dados ação", _UID, _UID)
    with Place() as place:
        options = {"user": _UID, "environment": {}, "shell": 'umask 077; exec "$@" <&-', "cwd": link}
        here = Surroundings(place=place, checkout=link, python=python, data_dir="../data-link", options=options)
        try:
            started = here.up()
            assert (started.returncode, started.stderr) == (0, ""), started.stdout
            assert "ready in" in started.stdout
            report = here.works()
            assert {psutil.Process(part["pid"]).uids().real for part in report["processes"]} == {_UID}
            assert version_of(str(checkout / ".venv/bin/python")) == version
        finally:
            here.down()
        refused = here.up(user=0, environment=_PATH)
    assert refused.returncode == 1
    assert "belongs to daemon" in refused.stderr
    assert _is_one_sentence(refused.stderr), refused.stderr
    made = [path for path in checkout.rglob("*") if path.lstat().st_uid != _UID]
    assert made == []


def _read_only(checkout: Path) -> str:
    quoted = "'" + str(checkout).replace("'", "'\\''") + "'"
    return f"mount --bind {quoted} {quoted}; mount -o remount,ro,bind {quoted}"


def test_root_with_a_checkout_to_read(checkout: Path) -> None:
    """In a read-only checkout of somebody else's: a full output, no error output, few files at first, names by IPv6."""
    with folder_for_everybody() as folder:
        hosts = folder / "hosts"
        hosts.write_text("::1 localhost\n127.0.0.1 localhost\n")
        with Place(f"{_read_only(checkout)}; mount --bind {hosts} /etc/hosts") as place:
            environment = _PATH | {"HOME": "/proc", "LC_ALL": "xx_YY.UTF-8", "PYTHONIOENCODING": "ascii"}
            here = Surroundings(
                place=place,
                checkout=checkout,
                python=oldest_python()[1],
                data_dir=str(folder / f"dados {_HARD_NAME}"),
                options={"environment": environment},
            )
            try:
                started = here.up(shell='umask 000; ulimit -Sn 256; exec "$@" >/dev/full 2>&-')
                assert started.returncode == 0, (Path(str(here.data_dir)) / "logs/supervisor.log").read_text()
                report = here.works()
                for part in report["processes"]:
                    assert _files_allowed(part["pid"]) >= 1024
            finally:
                here.down()
            run = Path(str(here.data_dir)) / "run"
            assert stat.S_IMODE(run.stat().st_mode) == 0o700
            assert stat.S_IMODE((run / "state.json").stat().st_mode) == 0o600


def _files_allowed(pid: int) -> int:
    """Return the soft limit, by the file that shows it of every user's process."""
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "open files" in line)
    return int(line.split()[3])


def test_a_clock_that_jumps(checkout: Path) -> None:
    """A day ahead, then two days back: commands are applied, what dies is started again, and `status` is right."""
    with folder_for_everybody() as folder:
        clock = JumpingClock(folder)
        with Place(clock.mounts) as place:
            here = Surroundings(
                place=place, checkout=checkout, python=oldest_python()[1], data_dir=str(folder / "data"), options={}
            )
            try:
                started = here.up()
                assert started.returncode == 0, started.stdout + started.stderr
                here.works()
                for jump_s in (_DAY_S, -_DAY_S):
                    clock.jump_to(jump_s)
                    assert here.status(shell=_moved_boot(folder, jump_s))["processes"]
                    _kill_and_wait(here, "lane-postgresql-0")
                    here.works()
            finally:
                here.down(shell=_moved_boot(folder, -_DAY_S))


def _kill_and_wait(here: Surroundings, name: str) -> None:
    """Kill a part, and return once another is ready in its place."""
    pid = _part(here.status(), name)["pid"]
    os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        report = _report(here)
        return bool(report["status"] == "ready" and _part(report, name)["pid"] != pid)

    eventually(is_back, _RESTART_TIMEOUT_S)


def _moved_boot(folder: Path, jump_s: int) -> str:
    """Return a shell that sees the time of the boot moved, which the system computes from the clock."""
    figures = folder / f"stat{jump_s}"
    lines = Path("/proc/stat").read_text().splitlines()
    moved = [f"btime {int(line.split()[1]) + jump_s}" if line.startswith("btime") else line for line in lines]
    figures.write_text("\n".join(moved) + "\n")
    return f"""exec unshare --mount sh -ec 'mount --bind {figures} /proc/stat; exec "$@"' sh "$@" """


def _report(here: Surroundings) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(here.start("status", "--json").stdout)
    return report


def _part(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    return next(part for part in report["processes"] if part["name"] == name)


def test_nobody_looks_any_more(around: Surroundings) -> None:
    """Its reader leaves after a line, as `head -1` does, and it goes on; the terminal closes, and it stops."""
    controller, terminal = pty.openpty()
    reader, writer = os.pipe()
    words = around.line("up", "--gateways", "1", "--no-browser", "--port-offset", str(free_offset()))
    command = around.place.line(["setsid", "--ctty", *words], cwd=around.checkout)
    with subprocess.Popen(command, env=_PATH, stdin=terminal, stdout=writer, stderr=terminal) as process:
        os.close(writer)
        os.close(terminal)
        try:
            with os.fdopen(reader) as lines:
                assert lines.readline()
            eventually(lambda: _report(around)["status"] == "ready", _READY_TIMEOUT_S)
            report = around.works()
            os.close(controller)
            assert process.wait(60) == 0
        finally:
            around.down()
    assert not any(psutil.pid_exists(part["pid"]) for part in report["processes"])


def test_a_small_disk(tmp_path: Path) -> None:
    """Too small for the packages, then for the data: it is said each time; once there is room, the command works."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with Place(f"mount -t tmpfs -o size=60m none {disk}; mkdir {disk}/checkout") as place:
        inside = Path(f"/proc/{place.pid}/root") / disk.relative_to("/") / "checkout"
        copy_checkout(inside)
        here = Surroundings(place=place, checkout=disk / "checkout", options={"environment": _PATH | _INSTALLER})
        refused = here.up()
        assert refused.returncode == 1
        assert "polystream: " in refused.stderr
        assert "the disk is full. Free about 1 GB" in refused.stderr
        assert "Traceback" not in refused.stderr

        place.run(["mount", "-o", "remount,size=3g", str(disk)])
        installed = here.start("status")
        assert installed.returncode == 3, installed.stdout + installed.stderr
        used_bytes = shutil.disk_usage(inside).used
        place.run(["mount", "-o", f"remount,size={used_bytes + 100 * _MIB}", str(disk)])
        refused = here.up()
        assert refused.returncode == 1
        assert "MiB free, and" in refused.stderr
        assert _is_one_sentence(refused.stderr), refused.stderr

        place.run(["mount", "-o", "remount,size=3g", str(disk)])
        try:
            started = here.up()
            assert started.returncode == 0, started.stdout + started.stderr
            here.works()
        finally:
            here.down()


def test_the_newest_python(tmp_path: Path) -> None:
    """Python 3.13 of Debian 13, in a system with nothing else in it, installs everything and runs the platform."""
    root = debian_root()
    copy_checkout(tmp_path / "checkout")
    with Place(mounts_of(root)) as place:
        cwd = tmp_path / "checkout"
        before = ("chroot", str(root), "sh", "-c", f'cd {cwd}; exec "$@"', "sh")
        here = Surroundings(place=place, checkout=Path("/"), before=before, options={"environment": _PATH | _INSTALLER})
        try:
            started = here.up()
            assert (started.returncode, started.stderr) == (0, ""), started.stdout
            here.works()
            version = place.run([*before, ".venv/bin/python", "-c", "import sys; print(sys.version_info[:2])"])
            assert version.stdout == "(3, 13)\n"
        finally:
            here.down()


_REFUSED: Final = {
    "little address space": ('ulimit -v 1500000; exec "$@"', "of address space"),
    "few open files": ('ulimit -n 128; exec "$@"', "may open 128 files"),
    "small files": ('ulimit -f 20000; exec "$@"', "a file may have"),
    "few processes": ('exec prlimit --nproc=100 "$@"', "more processes and threads"),
}


@pytest.mark.parametrize("row", _REFUSED)
def test_a_limit_is_told(around: Surroundings, row: str) -> None:
    """What can't work for a limit of the shell is refused with its name and the remedy, and nothing is half made."""
    shell, said = _REFUSED[row]
    data_dir = Path(str(around.data_dir))
    data_dir.mkdir()
    os.chown(data_dir, _UID, _UID)
    refused = around.up(shell=shell, user=_UID, environment=_PATH)
    assert refused.returncode == 1
    assert said in refused.stderr
    assert _is_one_sentence(refused.stderr), refused.stderr
    assert {path.name for path in data_dir.iterdir()} == {"logs", "run"}


def test_a_container_without_memory_is_told(around: Surroundings) -> None:
    """A control group's limit counts, not the machine's figure."""
    group = _memory_group(200 * _MIB)
    try:
        refused = around.up(shell=f'echo $$ >{group}/cgroup.procs; exec "$@"')
    finally:
        group.rmdir()
    assert refused.returncode == 1
    assert "of memory are left, and 400 MiB are needed" in refused.stderr
    assert _is_one_sentence(refused.stderr), refused.stderr


def _memory_group(limit_bytes: int) -> Path:
    """Make a control group with a limit, beside those of this machine. Raises UnavailableError where none can be."""
    name = f"polystream-test-{os.getpid()}"
    for parent, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = parent / name
        with suppress(OSError):
            group.mkdir()
            try:
                (group / limit).write_text(str(limit_bytes))
            except OSError:
                group.rmdir()
                continue
            return group
    raise UnavailableError("a control group with a limit on memory: run the tests as root, where groups may be made")


def test_sudo_makes_no_folder_of_its_own(checkout: Path) -> None:
    """Where `sudo` would make the data folder in a folder of the user's, it is refused, and nothing is made."""
    with Place() as place:
        here = Surroundings(place=place, checkout=checkout, python=oldest_python()[1])
        refused = here.up(environment=_PATH | {"SUDO_UID": str(_UID)})
    assert refused.returncode == 1
    assert "run this as daemon, without sudo" in refused.stderr
    assert _is_one_sentence(refused.stderr), refused.stderr
    assert not (checkout / ".data").exists()


_STATUS: Final = {
    # What the shell does, the exit code, what is written, and what is said beside it.
    "no input": ('exec "$@" <&-', {}, 3, "stopped: nothing runs on ", ""),
    "no output": ('exec "$@" >&-', {}, 3, "", ""),
    "no error output": ('exec "$@" 2>&-', {}, 3, "stopped: nothing runs on ", ""),
    "nothing of the three": ('exec "$@" <&- >&- 2>&-', {}, 3, "", ""),
    "a full output": (
        'exec "$@" >/dev/full',
        {},
        1,
        "",
        "polystream: the output can't be written: No space left on device\n",
    ),
    "a reader that is gone": ('{ "$@"; echo $? >&2; } | :', {}, 0, "", "1\n"),
    "no environment": ('exec "$@"', {}, 3, "stopped: nothing runs on ", ""),
    "the C locale": (
        'exec "$@"',
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        3,
        "stopped: nothing runs on ",
        "",
    ),
    "the POSIX locale": ('exec "$@"', {"LC_ALL": "POSIX"}, 3, "stopped: nothing runs on ", ""),
    "an unknown locale": ('exec "$@"', {"LC_ALL": "xx_YY.UTF-8"}, 3, "stopped: nothing runs on ", ""),
    "ASCII alone": ('exec "$@"', {"PYTHONIOENCODING": "ascii"}, 3, "stopped: nothing runs on ", ""),
    "no home to write to": ('exec "$@"', {"HOME": "/proc"}, 3, "stopped: nothing runs on ", ""),
}


@pytest.mark.parametrize("row", _STATUS)
def test_what_is_around_an_answer(around: Surroundings, row: str) -> None:
    """Whatever its streams and its locale are like, a command says what it can, and its exit code is the truth."""
    shell, environment, code, out, error = _STATUS[row]
    said = around.start("status", shell=shell, environment=environment)
    assert (said.returncode, said.stdout[: len(out)], said.stderr) == (code, out, error)
    assert bool(said.stdout) is bool(out)


def test_a_name_is_shown_in_the_characters_that_there_are(around: Surroundings) -> None:
    """A path that the output has no characters for is escaped, and not the end of the command."""
    said = around.start("down", environment={"PYTHONIOENCODING": "ascii"})
    assert (said.returncode, said.stderr) == (0, "")
    assert r"dados a\xe7\xe3o 100% #1 'x' & (HOME)" in said.stdout
