"""The benchmark's load: what it makes of h2load's logs, and what it says when it cannot measure."""

from pathlib import Path

import pytest

from cli.bench.load import LoadError, Target, apply_load, find_h2load

TARGET = Target("http://127.0.0.1:1/path", [b"first", b"second"], [("content-type", "text/plain")], http2=True)

# Stands in for h2load: writes what the test wants as its log, and its arguments beside it.
SCRIPT = """#!/bin/sh
for argument in "$@"; do case "$argument" in
  --log-file=*) log="${argument#--log-file=}" ;;
  --data=*) echo "$(cat "${argument#--data=}")" >> "$FOLDER/bodies" ;;
esac; done
echo "$@" >> "$FOLDER/arguments"
[ -n "$LOG" ] && printf "$LOG" > "$log"
exit "${CODE:-0}"
"""


@pytest.fixture
def h2load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A stand-in for h2load, steered by the environment variables LOG and CODE."""
    program = tmp_path / "h2load"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return monkeypatch


def test_the_command_that_installs_h2load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without h2load nothing can be measured, and the message says what to do."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LoadError, match="apt-get install nghttp2-client"):
        find_h2load()


def test_figures_are_of_all_senders_together(h2load: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Time runs from the first request to the last answer; each sender has its body and its part of the load."""
    h2load.setenv("LOG", r"1000000\t200\t10000\n1500000\t200\t500000\n")
    result = apply_load(TARGET, requests=4, streams=8)
    assert (result.requests, result.answered_2xx) == (4, 4)
    assert result.elapsed_s == pytest.approx(1.0)
    assert result.p50_ms == pytest.approx(255)
    assert sorted((tmp_path / "bodies").read_text().split()) == ["first", "second"]
    for line in (tmp_path / "arguments").read_text().splitlines():
        assert "--requests=2" in line
        assert "--max-concurrent-streams=4" in line


def test_only_answers_with_a_2xx_status_count(h2load: pytest.MonkeyPatch) -> None:
    """Failed streams and error statuses are no acknowledgements."""
    h2load.setenv("LOG", r"1\t200\t1000\n2\t503\t1000\n3\t-1\t1000\n4\t202\t1000\n")
    assert apply_load(TARGET, requests=8, streams=2).answered_2xx == 4


def test_http_1_has_one_connection_a_stream(h2load: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """REST is measured as its clients speak it."""
    h2load.setenv("LOG", r"1\t200\t1000\n2\t200\t1000\n")
    apply_load(Target(TARGET.url, [b"one"], [], http2=False), requests=2, streams=16)
    arguments = (tmp_path / "arguments").read_text()
    assert "--h1" in arguments
    assert "--clients=16" in arguments


def test_a_measurement_without_answers_is_refused(h2load: pytest.MonkeyPatch) -> None:
    """No figures are made up from nothing."""
    with pytest.raises(LoadError, match="0 of 4 requests"):
        apply_load(TARGET, requests=4, streams=2)
    h2load.setenv("CODE", "1")
    with pytest.raises(LoadError, match="ended with 1"):
        apply_load(TARGET, requests=4, streams=2)


def test_streams_that_cannot_be_divided_are_refused() -> None:
    """Each sender must have as many streams as the others."""
    with pytest.raises(ValueError, match="divided"):
        apply_load(TARGET, requests=4, streams=3)
