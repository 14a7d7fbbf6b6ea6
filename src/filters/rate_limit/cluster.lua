-- The generic cell rate algorithm for one key, by the clock of Redis. What is kept is a time in microseconds and what the
-- key owed then, in ticks, so that all numbers are whole and exact.
local interval, speed = tonumber(ARGV[1]), tonumber(ARGV[2])
local tolerance, patience = tonumber(ARGV[3]), tonumber(ARGV[4])
-- `take` a turn, only `look` whether there is one, or `charge` what has passed already.
local what = ARGV[5]
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local owed = 0
local known = redis.call('GET', KEYS[1])
if known then
  local at, debt = string.match(known, '^(%d+) (%d+)$')
  -- A clock that was put back pays nothing off.
  owed = math.max(0, debt - math.max(0, now - at) * speed)
end
local wait = math.max(0, owed - tolerance)
if what ~= 'charge' and wait > patience then
  return {0, wait, owed}
end
if what == 'look' then
  return {1, wait, owed}
end
owed = owed + interval
local lives = string.format('%.0f', math.ceil(owed / speed / 1000) + 1)
redis.call('SET', KEYS[1], string.format('%.0f %.0f', now, owed), 'PX', lives)
return {1, wait, owed}
