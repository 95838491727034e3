"""Keys in Redis that keep within a number of bytes: where newer ones need the room, the oldest go.

Beside the keys stands a list of them, by their age: an entry for each batch, with what that takes; and the sum of it.
Both are kept by the script that writes the keys, in the same step. A key that expires meanwhile stays in the list, and
counts, until its turn comes: it is among the oldest then, so that no other goes in its place.
"""

from typing import Final

# What a script that writes such keys begins with: `keep_within(index, total, prefix, names, bytes, time, max_bytes)`.
#
# `names` are what follows the prefix in the names of the keys just written, without a blank in them, `bytes` what these
# keys take, and `time` any number. Returns the `time` of the last batch that went, if one did. A call takes away at
# most three times as many keys as it brings, and a batch: it never takes long, whatever the bound was before.
KEEP_WITHIN: Final = """
local function keep_within(index, total, prefix, names, bytes, time, max_bytes)
  if #names == 0 then
    return nil
  end
  redis.call('RPUSH', index, bytes .. ' ' .. time .. ' ' .. table.concat(names, ' '))
  local over = redis.call('INCRBY', total, bytes) - max_bytes
  local gone, count, last = 0, 0, nil
  while gone < over and count <= 3 * #names do
    local oldest = redis.call('LPOP', index)
    if not oldest then
      gone = over + max_bytes
      break
    end
    local _, last_digit, its_bytes, its_time = string.find(oldest, '^(%d+) (%d+)')
    local keys = {}
    for name in string.gmatch(string.sub(oldest, last_digit + 2), '%S+') do
      keys[#keys + 1] = prefix .. name
    end
    redis.call('UNLINK', unpack(keys))
    gone, count, last = gone + its_bytes, count + #keys, its_time
  end
  if gone > 0 then
    redis.call('DECRBY', total, gone)
  end
  return last
end
"""
