"""The event log in a file, on a disk that is full."""

import subprocess
import sys
from pathlib import Path

from tests.support.platform import CHECKOUT

_ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError
from monitor.listing.listing import Listing
from monitor.store.local import LocalEventStore
from monitor.store.port import Bounds
from tests.support.event_stores import fill_store

folder = Path(sys.argv[1])
store = LocalEventStore(folder, load_catalog())
filler = (folder / "filler").open("ab", buffering=0)
fill_store(store, 5000)
try:
    while True:
        filler.write(bytes(4096))
except OSError:
    pass
refused = 0
for _ in range(2):
    try:
        fill_store(store, 20_000, 2_000_000_000)
    except PolystreamError:
        refused += 1
print("refused", refused)
while store.purge(Bounds(since_us=1_000_000_000, max_spans=1_000_000, max_bytes=1 << 40)):
    pass
new = fill_store(store, 500, 3_000_000_000)
kept = {operation.correlation_id for operation in store.operations(Listing(100_000))}
print("kept", len(kept & {*new}))
"""


def test_what_is_old_goes_and_what_is_new_is_kept(tmp_path: Path) -> None:
    """Deleting needs room: some is kept for it. Afterwards events are kept again, though the disk stays full."""
    mounted = 'mount -t tmpfs -o size=32m none "$1" && exec "$2" -c "$3" "$1"'
    run = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mounted, "sh", str(tmp_path), sys.executable, _ON_A_SMALL_DISK],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = [line for line in run.stdout.splitlines() if line.startswith(("refused", "kept"))]
    assert told == ["refused 2", "kept 500"], run.stderr
