"""The spool's file: a bounded queue of lines that survives whatever happens to its process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.store.spool_file import SpoolFile

_CHECKOUT = Path(__file__).parents[2]
_BIG = 1_000_000


def _drain(spool: SpoolFile, batch: int = 3) -> list[bytes]:
    """Read and drop everything."""
    seen: list[bytes] = []
    while spool.backlog:
        lines, segment, offset = spool.read(batch)
        assert lines
        seen += lines
        spool.advance(segment, offset)
    return seen


def _lines(first: int, last: int) -> list[bytes]:
    return [f'{{"n": {number}}}'.encode() for number in range(first, last)]


def test_lines_come_out_as_they_went_in(tmp_path: Path) -> None:
    """In order, over segments, in batches of any size; afterwards nothing is left on the disk."""
    spool = SpoolFile(tmp_path, _BIG, segment_bytes=50)
    for start in range(0, 100, 10):
        assert spool.append(_lines(start, start + 10))
    assert len(list(tmp_path.glob("*.jsonl"))) > 5
    assert _drain(spool, 7) == _lines(0, 100)
    assert not spool.backlog
    assert spool.size_bytes == 0
    assert list(tmp_path.glob("*.jsonl")) == []


def test_reading_does_not_drop(tmp_path: Path) -> None:
    """What was read and not dealt with is read again."""
    spool = SpoolFile(tmp_path, _BIG)
    spool.append(_lines(0, 5))
    assert spool.read(2)[0] == spool.read(2)[0] == _lines(0, 2)


def test_a_new_process_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    """Lines that were dropped stay dropped, and the others are there."""
    spool = SpoolFile(tmp_path, _BIG, segment_bytes=60)
    spool.append(_lines(0, 10))
    spool.append(_lines(10, 20))
    lines, segment, offset = spool.read(13)
    spool.advance(segment, offset)
    again = SpoolFile(tmp_path, _BIG, segment_bytes=60)
    assert again.append(_lines(20, 22))
    assert _drain(again) == _lines(len(lines), 22)


def test_numbers_of_segments_are_not_used_twice(tmp_path: Path) -> None:
    """A drained spool that is filled by another process is read from its beginning."""
    spool = SpoolFile(tmp_path, _BIG)
    spool.append(_lines(0, 10))
    _drain(spool)
    again = SpoolFile(tmp_path, _BIG)
    assert not again.backlog
    again.append(_lines(10, 12))
    assert _drain(SpoolFile(tmp_path, _BIG)) == _lines(10, 12)


def test_a_line_that_was_cut_short_is_dropped(tmp_path: Path) -> None:
    """Power failed in the middle of an append that had not returned: what stands before it is kept."""
    SpoolFile(tmp_path, _BIG).append(_lines(0, 3))
    (segment,) = tmp_path.glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"n": 3')
    spool = SpoolFile(tmp_path, _BIG)
    spool.append(_lines(4, 5))
    assert _drain(spool) == [*_lines(0, 3), *_lines(4, 5)]


@pytest.mark.parametrize("text", ["", "{", '{"segment": 7}', '{"segment": "x", "offset": 0}'])
def test_a_lost_position_repeats_and_loses_nothing(tmp_path: Path, text: str) -> None:
    """Without a note of how far it was read, a spool is read from its beginning."""
    SpoolFile(tmp_path, _BIG).append(_lines(0, 3))
    (tmp_path / "position.json").write_text(text)
    assert _drain(SpoolFile(tmp_path, _BIG)) == _lines(0, 3)


def test_a_full_spool_takes_nothing_until_it_was_read(tmp_path: Path) -> None:
    """All of a batch or none; a share of the bound is a bound of its own."""
    spool = SpoolFile(tmp_path, 100, segment_bytes=30)
    assert spool.append(_lines(0, 5))
    assert not spool.append(_lines(10, 12), share=0.5)
    assert spool.append(_lines(10, 12))
    assert not spool.append(_lines(20, 30))
    assert spool.size_bytes <= 100
    assert _drain(spool) == [*_lines(0, 5), *_lines(10, 12)]
    assert spool.append(_lines(20, 30))


def test_lines_are_found_by_a_text(tmp_path: Path) -> None:
    """In every segment, oldest first, each line once however often it has the text."""
    spool = SpoolFile(tmp_path, _BIG, segment_bytes=30)
    for line in (b"a x x", b"b", b"c x", b"d", b"x", b"e"):
        spool.append([line])
    assert list(spool.find(b"x")) == [b"a x x", b"c x", b"x"]
    assert list(spool.find(b"none")) == []


@pytest.mark.integration  # it starts a process
def test_what_was_appended_is_there_after_a_kill(tmp_path: Path) -> None:
    """A process that is killed while it appends loses no line whose append had returned, and has none in part."""
    program = (
        "import sys; from pathlib import Path\n"
        "from monitor.store.spool_file import SpoolFile\n"
        "spool = SpoolFile(Path(sys.argv[1]), 10**9, segment_bytes=2000)\n"
        "for n in range(10**6):\n"
        "    spool.append([b'{\"n\": %d}' % n])\n"
        "    print(n, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=_CHECKOUT)
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(300)]
    os.kill(writer.pid, signal.SIGKILL)
    told += [int(line) for line in writer.stdout.read().splitlines() if line]
    writer.stdout.close()
    writer.wait()
    found = [json.loads(line)["n"] for line in _drain(SpoolFile(tmp_path, _BIG), 1000)]
    assert found == list(range(len(found)))
    assert len(found) >= len(told)
