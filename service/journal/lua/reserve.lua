#!lua
-- Sets numbers aside for a stream from another store.
-- KEYS: names, head
-- ARGV: name, partition, partitions, snapshots
-- Returns the uid and the id of its first snapshot, where the log ends, and the entries that wait;
-- nothing if the name is taken.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return {}
end
local head = redis.call('HMGET', KEYS[2], 'serial', 'last', 'at', 'depth')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local serial = math.max(now, tonumber(head[1] or 0) + 1)
redis.call('HSET', KEYS[2], 'serial', string.format('%.0f', serial))
local newest = redis.call('HINCRBY', KEYS[2], 'snapshot', ARGV[4])
return {string.format('%.0f', serial * tonumber(ARGV[3]) + tonumber(ARGV[2])),
  string.format('%.0f', newest - tonumber(ARGV[4]) + 1),
  string.format('%.0f', math.max(tonumber(head[2] or 0), tonumber(head[3] or 0))), head[4] or '0'}
