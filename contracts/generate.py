"""Generate everything that is derived from the protos, or check that what is committed is just that.

`python -m contracts.generate [--check]`, from a checkout.
"""

import argparse
import ast
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from contracts import postman
from contracts.buf import IMPORTED, BufError, fill_imports, run_buf
from contracts.openapi_examples import add_examples
from contracts.third_party import ThirdPartyError

_ROOT = Path(__file__).parents[1]
_DESCRIPTORS = "gen/descriptors.binpb"
# All that is generated: whatever else stands in these folders is removed.
_GENERATED = ("gen", "schemas/avro", "sdk/src/polystream_sdk/services", postman.FILE_NAME)
# The descriptor set is what tools of other languages link, so it also holds what answers carry inside Any, and
# the standard operations service.
_DESCRIBED = (
    "proto/polystream",
    f"{IMPORTED}/google/rpc/error_details.proto",
    f"{IMPORTED}/google/longrunning",
)
# Further templates beside buf.gen.yaml: the SDK's messages and those of the JSON of REST.
_TEMPLATES = ("buf.gen.sdk.yaml", "buf.gen.json.yaml")
_SDK_PACKAGE = "gen/sdk/polystream_api"
# What the SDK shows of the generated messages under one name, so that a program has one place to import from.
_SDK_MODULES = ("google/type", "polystream/options/v1", "polystream/v1")
# betterproto2 divides a Duration as floats, and rounds down: -0.5 s became +0.5 s, and long ones lost microseconds.
_SDK_DURATION = (
    f"{_SDK_PACKAGE}/google/protobuf/__init__.py",
    """\
        total_ms = delta // _1_microsecond
        seconds = int(total_ms / 1e6)
        nanos = int((total_ms % 1e6) * 1e3)
        return cls(seconds, nanos)
""",
    """\
        sign = -1 if delta.days < 0 else 1  # seconds and nanos have the same one
        seconds, micros = divmod(abs(delta // _1_microsecond), 1_000_000)
        return cls(sign * seconds, sign * micros * 1_000)
""",
)
_OPENAPI = "gen/openapi/openapi.json"
_GOLDEN = "tests/contract/golden"
_STEP_TIMEOUT_S = 300


class GenerateError(Exception):
    """A generator failed; its own message is part of this one's."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 when a check finds a difference or a generator fails."""
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a file would change")
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            fresh = Path(folder)
            generate(_ROOT, fresh)
            differing = differences(_ROOT, fresh)
            if not arguments.check:
                publish(fresh, _ROOT, differing)
    except (GenerateError, BufError, ThirdPartyError) as error:
        print(error, file=sys.stderr)  # noqa: T201 # a command speaks on the terminal
        return 1
    for name in differing:
        print(f"{'differs' if arguments.check else 'updated'}: {name}")  # noqa: T201
    if arguments.check and differing:
        print("the generated files are not those of the protos: run `polystream contracts generate`", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def generate(root: Path, out: Path) -> None:
    """Generate from the protos of the checkout `root` into `out`, under the paths that the files have there."""
    fill_imports(root)
    described = [argument for path in _DESCRIBED for argument in ("--path", path)]
    run_buf(root, "generate", "--output", str(out), timeout_s=_STEP_TIMEOUT_S)
    for template in _TEMPLATES:
        run_buf(root, "generate", "--template", template, "--output", str(out), timeout_s=_STEP_TIMEOUT_S)
    run_buf(
        root,
        *("build", "--as-file-descriptor-set", "--exclude-source-info"),
        *described,
        *("--output", str(out / _DESCRIPTORS)),
        timeout_s=_STEP_TIMEOUT_S,
    )
    document = json.loads((out / _OPENAPI).read_text(encoding="utf-8"))
    add_examples(document, root / _GOLDEN)
    _write_json(out / _OPENAPI, document)
    _write_json(out / postman.FILE_NAME, postman.collection(document))
    _mend_durations(out)
    package = out / _SDK_PACKAGE
    (package / "__init__.py").write_text(_sdk_init(package), encoding="utf-8")


def _mend_durations(out: Path) -> None:
    name, wrong, right = _SDK_DURATION
    source = (out / name).read_text(encoding="utf-8")
    if source.count(wrong) != 1:
        raise GenerateError(f"{name} makes a Duration of a timedelta in another way by now: see whether it is right")
    (out / name).write_text(source.replace(wrong, right), encoding="utf-8")


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def differences(root: Path, fresh: Path) -> list[str]:
    """Return the paths whose content differs between two trees, or that one of them lacks."""
    names = {path for tree in (root, fresh) for path in _files(tree)}
    return sorted(name for name in names if _content(root / name) != _content(fresh / name))


def publish(fresh: Path, root: Path, names: Sequence[str]) -> None:
    """Make these paths of `root` as they are in `fresh`, each file in one step: others may be importing it."""
    for name in names:
        target = root / name
        content = _content(fresh / name)
        if content is None:
            target.unlink()
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f"{target.name}.{os.getpid()}.new")
        beside.write_bytes(content)
        beside.replace(target)


def _files(tree: Path) -> list[str]:
    paths = [path for name in _GENERATED for path in (tree / name, *(tree / name).rglob("*"))]
    return [p.relative_to(tree).as_posix() for p in paths if p.is_file() and "__pycache__" not in p.parts]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _sdk_init(package: Path) -> str:
    """Return the module that has every message of `_SDK_MODULES`, named one by one: type checkers follow that."""
    lines, exported = ['"""The messages and stubs of Polystream\'s API. Generated: do not edit."""', ""], []
    for module in _SDK_MODULES:
        names = _exported(package / module / "__init__.py")
        lines += [f"from .{module.replace('/', '.')} import (", *(f"    {name}," for name in names), ")"]
        exported += names
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in sorted(exported)), "]"]
    return "\n".join(lines) + "\n"


def _exported(module: Path) -> list[str]:
    for statement in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return list(ast.literal_eval(statement.value))
    raise GenerateError(f"{module} does not say what it exports")


if __name__ == "__main__":
    sys.exit(main())
