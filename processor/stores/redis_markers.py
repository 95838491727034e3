"""The markers in Redis: what was applied, with its answer, within a number of seconds and of bytes."""

import time
from dataclasses import dataclass, field
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt
from redis import Redis

from mesh.redis_budget import KEEP_WITHIN
from mesh.store_names.redis import MARKER_PREFIX, MARKERS, MARKERS_BYTES, MARKERS_GONE, marker_key
from processor.parking import ParkingBounds

MARKER_BYTES: Final = 250  # measured: what a marker takes beside its receipt, with its place in the list by age
# KEYS: 1 the markers by age, 2 the sum of their bytes, 3 when the newest that gave way was written. ARGV: 1 the bound
# in bytes, 2 the keys' prefix, 3 what the new ones take, 4 the time in milliseconds, 5... their names less the prefix.
KEEP_MARKERS: Final = (
    KEEP_WITHIN
    + """
local last = keep_within(KEYS[1], KEYS[2], ARGV[2], {unpack(ARGV, 5)}, ARGV[3], ARGV[4], tonumber(ARGV[1]))
if last then
  redis.call('SET', KEYS[3], last)
end
"""
)
# KEYS: 1 the marker, 2 to 4 as above. ARGV: 1 the marker's content, 2 its seconds, 3 the bound in bytes, 4 the keys'
# prefix, 5 what the marker takes, 6 the time in milliseconds, 7 its name less the prefix.
_PUT_MARKER: Final = (
    KEEP_WITHIN
    + """
if redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2], 'NX') then
  local last = keep_within(KEYS[2], KEYS[3], ARGV[4], {ARGV[7]}, ARGV[5], ARGV[6], tonumber(ARGV[3]))
  if last then
    redis.call('SET', KEYS[4], last)
  end
end
"""
)


@dataclass(frozen=True, slots=True)
class MarkerBounds:
    """What the lane may keep in the server: markers for so long, in seconds, and within so many bytes."""

    ttl_s: int
    max_bytes: int
    parking: ParkingBounds = field(default_factory=ParkingBounds)  # what may be parked in the server


def put_marker(client: Redis, receipt: CommandReceipt, bounds: MarkerBounds) -> None:
    """Mark a command as one that has this answer; leave a marker that is there. Raises what the client raises.

    It is the newest of the markers: those older than it give way before it does.
    """
    content, name = receipt.SerializeToString(), receipt.correlation_id
    size_bytes, now_ms = len(content) + MARKER_BYTES, time.time_ns() // 1_000_000
    client.eval(
        *(_PUT_MARKER, 4, marker_key(name), MARKERS, MARKERS_BYTES, MARKERS_GONE),
        *(content, bounds.ttl_s, bounds.max_bytes, MARKER_PREFIX, size_bytes, now_ms, name),
    )
