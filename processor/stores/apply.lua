#!lua
-- Applies one command, once. All of it happens or, if the server dies, nothing of it. The first line says that none of
-- it may happen either when the server is out of memory: without it, a script that begins with DEL is let through.
--
-- KEYS: 1 the marker, 2 the positions, 3 the IDs of what is parked under its key.
-- The keys that are written are not declared: this needs a server that is no cluster.
-- ARGV: 1 how long the marker is kept, in seconds
--       2 the receipt if it is applied
--       3 the receipt if it is refused
--       4 a key that must exist for it to be applied, or nothing
--       5 whether it has to wait where something is parked; nothing where it does not
--       6 the position that it must not be below, or nothing, and 7 its offset
--       8... the writes: for each the number of its words, then the words
-- Returns the marker's receipt where the command was applied or refused before; else 1 if it is applied, 0 if refused,
-- -1 if the lane has passed it before, -2 if it has to wait for what is parked.

local earlier = redis.call('GET', KEYS[1])
if earlier then
  return earlier
end

if ARGV[6] ~= '' and tonumber(ARGV[7]) < tonumber(redis.call('HGET', KEYS[2], ARGV[6]) or '0') then
  return -1
end
if ARGV[5] ~= '' and redis.call('EXISTS', KEYS[3]) == 1 then
  return -2
end

local own = {}

-- Takes members of a sorted set out whose own key is gone, among some drawn at random.
function own.TRIMINDEX(index, prefix, count)
  for _, member in ipairs(redis.call('ZRANDMEMBER', index, count)) do
    if redis.call('EXISTS', prefix .. member) == 0 then
      redis.call('ZREM', index, member)
    end
  end
end

-- Deletes a sorted set, and the key of each of its members.
function own.DELINDEXED(index, prefix)
  for _, member in ipairs(redis.call('ZRANGE', index, 0, -1)) do
    redis.call('DEL', prefix .. member)
  end
  redis.call('DEL', index)
end

-- A script that fails in the middle keeps what it has written: so what a write needs is looked at before the first one.
local needs = {HSET = 'hash', ZADD = 'zset', ZREM = 'zset', TRIMINDEX = 'zset', DELINDEXED = 'zset'}
local next_word, made = 8, {}
while next_word <= #ARGV do
  local name, key = ARGV[next_word + 1], ARGV[next_word + 2]
  if needs[name] then
    local kind = made[key] or redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= needs[name] then
      return redis.error_reply('WRONGTYPE a key holds another kind of value than the command needs')
    end
  end
  made[key] = name == 'DEL' and 'none' or needs[name] or made[key]
  next_word = next_word + tonumber(ARGV[next_word]) + 1
end

local applied = ARGV[4] == '' or redis.call('EXISTS', ARGV[4]) == 1
next_word = 8
while applied and next_word <= #ARGV do
  local last_word = next_word + tonumber(ARGV[next_word])
  local name = ARGV[next_word + 1]
  if own[name] then
    own[name](unpack(ARGV, next_word + 2, last_word))
  else
    redis.call(unpack(ARGV, next_word + 1, last_word))
  end
  next_word = last_word + 1
end

redis.call('SET', KEYS[1], applied and ARGV[2] or ARGV[3], 'EX', ARGV[1])
return applied and 1 or 0
