"""What is generated is committed, current, and in the house's style."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from contracts import generate, third_party

_ROOT = Path(__file__).parents[2]
_BUF = Path(sys.executable).parent / "buf"
_TIMEOUT_S = 100


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)


def test_generated_files_are_those_of_the_protos() -> None:
    """Generating anew changes no file."""
    done = _run(sys.executable, "-m", "contracts.generate", "--check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_protos_are_linted() -> None:
    """Buf finds nothing to say about the protos: names, comments, structure."""
    done = _run(_BUF, "lint")
    assert (done.returncode, done.stdout) == (0, "")


def test_protos_are_formatted() -> None:
    """Buf would format no proto differently."""
    done = _run(_BUF, "format", "--diff", "--exit-code", "--path", "proto/polystream")
    assert (done.returncode, done.stdout) == (0, "")


def test_check_names_what_differs_and_leaves_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file changed, one missing and one too many are named by a check, which fails and changes nothing."""
    root = _tree(tmp_path, {"gen/changed.py": "old", "gen/python/extra.py": "stray", "gen/same.py": "same"})
    _generate_instead(
        monkeypatch, root, {"gen/changed.py": "new", "schemas/avro/missing.avsc": "{}", "gen/same.py": "same"}
    )
    assert generate.main(["--check"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "differs: gen/changed.py",
        "differs: gen/python/extra.py",
        "differs: schemas/avro/missing.avsc",
    ]
    assert "polystream contracts generate" in told.err
    assert (root / "gen/changed.py").read_text() == "old"


def test_generating_makes_the_tree_what_the_protos_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generating writes what changed or was missing, removes what is left over, and keeps the rest as it was."""
    root = _tree(tmp_path, {"gen/changed.py": "old", "gen/python/extra.py": "stray", "gen/same.py": "same"})
    fresh = {"gen/changed.py": "new", "schemas/avro/missing.avsc": "{}", "gen/same.py": "same"}
    before = (root / "gen/same.py").stat().st_ino
    _generate_instead(monkeypatch, root, fresh)
    assert generate.main([]) == 0
    files = {p.relative_to(root).as_posix(): p.read_text() for p in root.rglob("*") if p.is_file()}
    assert files == fresh
    assert (root / "gen/same.py").stat().st_ino == before
    assert generate.main(["--check"]) == 0


def test_third_party_protos_need_no_network_once_there(tmp_path: Path) -> None:
    """A folder that has been filled is complete and is not fetched for again."""
    search_path = os.pathsep.join([str(_BUF.parent), os.environ["PATH"]])
    third_party.fill(tmp_path, search_path=search_path)
    third_party.fill(tmp_path, search_path="")
    for name in ("buf/validate/validate.proto", "google/api/annotations.proto", "google/rpc/error_details.proto"):
        assert (tmp_path / name).is_file()


def test_changed_third_party_proto_is_put_right(tmp_path: Path) -> None:
    """A proto of somebody else that was changed in the folder is not generated from."""
    search_path = os.pathsep.join([str(_BUF.parent), os.environ["PATH"]])
    third_party.fill(tmp_path, search_path=search_path)
    names = ("buf/validate/validate.proto", "google/type/money.proto")
    before = [(tmp_path / name).read_bytes() for name in names]
    for name in names:
        (tmp_path / name).write_text("changed")
    third_party.fill(tmp_path, search_path=search_path)
    assert [(tmp_path / name).read_bytes() for name in names] == before


def test_missing_tools_are_told(tmp_path: Path) -> None:
    """Without Go and uv, an empty folder cannot be filled, and the error says what to install."""
    with pytest.raises(third_party.ThirdPartyError, match="install Go or uv"):
        third_party.fill(tmp_path, search_path="")


def _tree(folder: Path, files: dict[str, str]) -> Path:
    root = folder / "root"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def _generate_instead(monkeypatch: pytest.MonkeyPatch, root: Path, files: dict[str, str]) -> None:
    """Let the generators be ones that write `files`, for the checkout `root`."""

    def write(_root: Path, out: Path) -> None:
        for name, text in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.setattr(generate, "_ROOT", root)
    monkeypatch.setattr(generate, "generate", write)
