#!lua
-- Makes a stream, unless there is one of that name.
-- KEYS: names, head, pending, news
-- ARGV: prefix, name, spec, created at, partition, partitions
-- Returns the uid, and 1 if it was made now.
local uid = redis.call('HGET', KEYS[1], ARGV[2])
if uid then
  return {uid, 0}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local serial = math.max(now, tonumber(redis.call('HGET', KEYS[2], 'serial') or 0) + 1)
redis.call('HSET', KEYS[2], 'serial', string.format('%.0f', serial))
uid = string.format('%.0f', serial * tonumber(ARGV[6]) + tonumber(ARGV[5]))
redis.call('HSET', ARGV[1] .. 'stream:' .. uid, 'name', ARGV[2], 'spec', ARGV[3], 'version', '1',
  'created_at', ARGV[4], 'first_spec', ARGV[3], 'offset', '0', 'digest', '', 'status', '{}')
redis.call('HSET', KEYS[1], ARGV[2], uid)
redis.call('HSET', KEYS[3], uid, '0')
redis.call('XADD', KEYS[4], 'MAXLEN', '10000', '*', 'made', uid, 'name', ARGV[2])
return {uid, 1}
