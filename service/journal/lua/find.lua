#!lua flags=no-writes
-- KEYS: names
-- ARGV: prefix, name
-- Returns a stream's uid and fields, or nothing.
local uid = redis.call('HGET', KEYS[1], ARGV[2])
if not uid then
  return {}
end
return {uid, redis.call('HGETALL', ARGV[1] .. 'stream:' .. uid)}
