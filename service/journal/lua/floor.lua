#!lua flags=allow-oom
-- Returns the position up to which no stream of the partition needs the log to recover.
-- A stream that has had nothing since its newest snapshot needs none of it; any other needs what
-- came after the older of its two newest snapshots, and without one, all.
-- KEYS: head, pending
-- ARGV: prefix
local floor = tonumber(redis.call('HGET', KEYS[1], 'at') or 0)
local pending = redis.call('HGETALL', KEYS[2])
for f = 1, #pending, 2 do
  local row = redis.call('HMGET', ARGV[1] .. 'stream:' .. pending[f], 'last', 'newest', 'oldest')
  local last, newest = tonumber(row[1] or 0), tonumber(row[2] or 0)
  if tonumber(pending[f + 1]) > 0 or last > newest then
    floor = math.min(floor, tonumber(row[3] or 0))
  end
end
return string.format('%.0f', floor)
