"""Every command and option that the pages name exists, and is run by a test or by a block that the tests run."""

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from cli.__main__ import COMMANDS, make_parser
from tests.docs.blocks import blocks_of

_ROOT: Final = Path(__file__).parents[2]
_PAGES: Final = (
    *("README.md", "README.pt-BR.md", "docs/tour.md", "docs/events.md", "docs/errors.md"),
    *sorted(path.relative_to(_ROOT).as_posix() for path in (_ROOT / "docs" / "running").glob("*.md")),
)
_NAMES: Final = {command.name for command in COMMANDS}
_PROGRAM: Final = re.compile(r"^(?:python3 start\.py|start\.py|\.venv/bin/polystream|polystream)(?: |$)")
_IN_SHELL: Final = re.compile(r"(?:python3 start\.py|\.venv/bin/polystream)((?: [^\s|>&;)#]+)*)")
_OTHERS: Final = {"--otlp", "--enable-feature=exemplar-storage"}  # options of `stack.edge`, and of Prometheus

_CALL: Final = "tests/acceptance/test_call.py::"
_CHOOSING: Final = "tests/integration/test_choosing.py::"
_COMPOSE: Final = "tests/compose/test_up_compose.py::"
_DEAD_LETTERS: Final = "tests/acceptance/test_dead_letters.py::"
_FILTERS: Final = (
    "tests/acceptance/test_redriving_by_filter.py::test_filters_choose_and_a_redrive_stops_unless_it_is_to_keep_going"
)
_INTEGRITY: Final = "tests/acceptance/test_integrity.py::"
_LOGS: Final = "tests/integration/test_supervisor_commands.py::"
_PLATFORM: Final = "tests/integration/test_supervisor_platform.py::"
_SHARED: Final = f"{_PLATFORM}test_gateways_share_their_ports_behind_an_edge"
_DETACHED: Final = f"{_PLATFORM}test_it_starts_detached_shows_itself_and_stops"
_DISCARD: Final = f"{_DEAD_LETTERS}test_a_discard_gives_it_up_for_good_and_the_others_go_on"
_ONCE: Final = f"{_DEAD_LETTERS}test_each_is_applied_once_though_two_send_them_and_the_lane_is_killed"
_REPLAY: Final = "tests/acceptance/test_replay_command.py::test_a_store_is_built_anew_beside_the_live_one"
_VERIFY: Final = "tests/acceptance/test_verify.py::test_every_promise_is_kept_under_faults"
_BENCH: Final = "tests/unit/test_bench_report.py"
# What a page says of a command, and the test that runs it: a function, all of a file, or a page whose blocks are run.
_RUN_BY: Final = {
    "--help": "tests/unit/test_start.py::test_help_is_told_before_anything_is_installed",
    "--version": f"{_LOGS}test_the_version_is_told",
    "bench": "tests/bench/test_bench.py::test_a_small_run_measures_every_subject",
    "bench --engines": _BENCH,
    "bench --short": _BENCH,
    "call": f"{_CALL}test_a_command_is_called_by_its_short_name",
    "call --address": f"{_CALL}test_a_mistake_is_told_first",
    "call --json": f"{_CALL}test_an_error_is_told_whole_as_json",
    "call --list": f"{_CALL}test_every_method_is_listed",
    "contracts check": "docs/running/care.md",
    "contracts generate": "docs/running/care.md",
    "contracts generate --check": "docs/running/care.md",
    "dlq": _ONCE,
    "dlq discard": _DISCARD,
    "dlq discard --all": "docs/running/logs.md",
    "dlq discard --dry-run": "docs/running/logs.md",
    "dlq list": f"{_DEAD_LETTERS}test_a_dead_letter_is_shown_and_its_fields_only_if_they_are_asked_for",
    "dlq list --command": _FILTERS,
    "dlq list --reason": _FILTERS,
    "dlq list --since": _FILTERS,
    "dlq list --until": _FILTERS,
    "dlq redrive": _ONCE,
    "dlq redrive --all": _ONCE,
    "dlq redrive --dry-run": _ONCE,
    "dlq redrive --keep-going": _FILTERS,
    "dlq redrive --user": _ONCE,
    "dlq redrive --wait-s": _FILTERS,
    "dlq redrive --who": _DISCARD,
    "dlq redrive --why": _ONCE,
    "dlq show": f"{_DEAD_LETTERS}test_a_dead_letter_is_shown_and_its_fields_only_if_they_are_asked_for",
    "dlq show --payload": f"{_DEAD_LETTERS}test_a_dead_letter_is_shown_and_its_fields_only_if_they_are_asked_for",
    "docs": "tests/integration/test_docs_build.py::test_the_command_builds_it",
    "down": f"{_CHOOSING}test_down_stops_what_is_named_and_nothing_else",
    "down --data-dir": "docs/running/start.md",
    "explain": "tests/acceptance/test_explain.py::test_the_command_line_tells_the_story",
    "explain --json": "tests/acceptance/test_explain.py::test_the_command_line_tells_the_story",
    "integrity": f"{_INTEGRITY}test_what_restored_stores_lack_is_applied_again",
    "integrity check": f"{_INTEGRITY}test_what_restored_stores_lack_is_applied_again",
    "integrity check --json": f"{_INTEGRITY}test_what_restored_stores_lack_is_applied_again",
    "integrity repair": f"{_INTEGRITY}test_what_restored_stores_lack_is_applied_again",
    "integrity repair --accept-content": "tests/integration/test_drift_kinds.py",
    "integrity repair --dry-run": f"{_INTEGRITY}test_what_would_undo_later_commands_is_sent_only_if_somebody_insists",
    "integrity repair --erase-orphans": f"{_INTEGRITY}test_what_is_left_of_a_user_goes_only_if_somebody_says_so",
    "integrity repair --force": f"{_INTEGRITY}test_what_would_undo_later_commands_is_sent_only_if_somebody_insists",
    "logs": f"{_LOGS}test_logs_are_one_in_the_order_of_time",
    "logs --correlation-id": f"{_LOGS}test_logs_of_one_operation",
    "logs --follow": f"{_LOGS}test_logs_are_followed_over_a_rotation",
    "logs --json": f"{_LOGS}test_logs_are_one_in_the_order_of_time",
    "logs --lines": f"{_LOGS}test_logs_are_one_in_the_order_of_time",
    "logs --text": f"{_LOGS}test_logs_are_one_in_the_order_of_time",
    "open": f"{_CHOOSING}test_what_only_reads_takes_the_only_one",
    "open --print": f"{_CHOOSING}test_what_only_reads_takes_the_only_one",
    "replay": _REPLAY,
    "replay --dry-run": _REPLAY,
    "replay --into": _REPLAY,
    "replay --json": _REPLAY,
    "replay --overwrite": _REPLAY,
    "replay --store": _REPLAY,
    "restart": f"{_LOGS}test_restart_and_open",
    "status": _DETACHED,
    "status --data-dir": f"{_CHOOSING}test_status_tells_what_runs_elsewhere",
    "status --json": f"{_CHOOSING}test_status_tells_what_runs_elsewhere",
    "status --port-offset": f"{_CHOOSING}test_an_offset_leads_to_the_platform",
    "test": "tests/acceptance/test_mistakes.py",
    "top": f"{_CHOOSING}test_top_leaves_the_terminal_as_it_was",
    "top --interval": f"{_CHOOSING}test_top_leaves_the_terminal_as_it_was",
    "top --json": f"{_CHOOSING}test_what_only_reads_takes_the_only_one",
    "top --once": f"{_CHOOSING}test_what_only_reads_takes_the_only_one",
    "up": f"{_PLATFORM}test_a_stop_loses_nothing_and_a_kill_leaves_nothing",
    "up --compose": f"{_COMPOSE}test_up_starts_everything_and_says_where_it_is",
    "up --data-dir": _DETACHED,
    "up --detach": _DETACHED,
    "up --edge": _SHARED,
    "up --engines": "docs/running/start.md",
    "up --gateways": _SHARED,
    "up --lanes": "tests/acceptance/test_verify.py",  # whose platform has two of each
    "up --port-offset": _SHARED,
    "verify": _VERIFY,
    "verify --commands": "tests/acceptance/test_verify.py",
    "verify --duration-s": "tests/acceptance/test_verify.py",
    "verify --engines": _VERIFY,
    "verify --faults": "tests/acceptance/test_verify.py",
    "verify --json": _VERIFY,
    "verify --lanes": "tests/acceptance/test_verify.py",
    "verify --seed": "tests/acceptance/test_verify.py",
}


def test_what_the_pages_name_exists() -> None:
    """No page tells of a command or an option that there is not."""
    unknown = {f"{page}: {claim}" for page in _PAGES for claim in _claims(page) if claim not in _existing()}
    assert unknown == set()


def test_what_the_pages_name_is_run() -> None:
    """By the table above: whoever writes of a command names the test that runs it."""
    assert {claim for page in _PAGES for claim in _claims(page)} - set(_RUN_BY) == set()


@pytest.mark.parametrize("claim", sorted(_RUN_BY))
def test_the_test_of_a_claim_runs_it(claim: str) -> None:
    """The function is there, and has the command's last word and the option in it; so has the block of a page."""
    assert claim in _existing() or claim.startswith("--")
    place, _, function = _RUN_BY[claim].partition("::")
    if place.endswith(".md"):
        lines = [line for block in blocks_of(_ROOT, place) if not block.not_run for line in block.text.splitlines()]
        assert any(set(claim.split()) <= set(line.replace("=", " ").split()) for line in lines)
        return
    text = (_ROOT / place).read_text(encoding="utf-8")
    if function:
        assert function in {node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}
    assert claim.rsplit(maxsplit=1)[-1].removeprefix("--").replace("-", "_") in text.replace("-", "_")


def _claims(page: str) -> Iterator[str]:
    """Yield what a page names: `command`, `command action`, and each with an option."""
    text = (_ROOT / page).read_text(encoding="utf-8")
    for span in re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE)):
        words = _PROGRAM.sub("", span).split()
        if words and (words[0] in _NAMES or words[0] in {"--help", "--version"}):
            yield from _of(words)
        elif words and words[0].startswith("--") and words[0] not in _OTHERS:
            yield from _bare(words[0])
    for block in blocks_of(_ROOT, page):
        for found in _IN_SHELL.finditer(block.text):
            yield from _of(found[1].split() or ["up"])


def _of(words: list[str]) -> Iterator[str]:
    two = " ".join(words[:2])
    command = two if two in _existing() and " -" not in two else words[0]
    yield command
    for word in words:
        if word.startswith("--") and word != command:
            yield f"{command} {word.partition('=')[0]}"


def _bare(option: str) -> Iterator[str]:
    """Yield the claim of an option that stands alone: the page's own subject, so any command that has it."""
    having = [claim for claim in _existing() if claim.split()[-1] == option]
    told = [claim for claim in having if claim in _RUN_BY]
    yield (told or having or [option])[0]


@cache
def _existing() -> frozenset[str]:
    """Return every command, with its actions and options."""

    def walk(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> Iterator[str]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for name, subparser in action.choices.items():
                    yield " ".join((*words, name))
                    yield from walk(subparser, (*words, name))
            for option in action.option_strings:
                yield " ".join((*words, option))

    passed_on = {"contracts check", "contracts generate", "contracts generate --check"}  # read by another program
    return frozenset(walk(make_parser(COMMANDS), ())) | passed_on
