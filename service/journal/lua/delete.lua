#!lua flags=allow-oom
-- Deletes a stream and all that is kept of it but its records, which go when the log is trimmed.
-- KEYS: names, head, pending, news
-- ARGV: prefix, uid
-- Returns the entries that still wait in the partition, or -1 if there is no such stream.
local uid, row = ARGV[2], ARGV[1] .. 'stream:' .. ARGV[2]
local pending = redis.call('HGET', KEYS[3], uid)
if not pending then
  return -1
end
local name = redis.call('HGET', row, 'name')
for _, meta in ipairs(redis.call('HVALS', ARGV[1] .. 'snapshots:' .. uid)) do
  redis.call('UNLINK', string.match(meta, '([^|]*)$'))
end
for _, kind in ipairs({'stream:', 'snapshots:', 'results:', 'dead:', 'raised:'}) do
  redis.call('UNLINK', ARGV[1] .. kind .. uid)
end
redis.call('HDEL', KEYS[1], name)
redis.call('HDEL', KEYS[3], uid)
redis.call('XADD', KEYS[4], 'MAXLEN', '10000', '*', 'gone', uid, 'name', name)
return redis.call('HINCRBY', KEYS[2], 'depth', 0 - tonumber(pending))
