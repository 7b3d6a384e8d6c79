#!lua
-- Keeps a snapshot that a client sent.
-- KEYS: head, pending
-- ARGV: prefix, uid, meta, blob key
-- Returns the snapshot's id, or 0 if there is no such stream.
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 0 then
  redis.call('DEL', ARGV[4])
  return 0
end
local id = redis.call('HINCRBY', KEYS[1], 'snapshot', 1)
redis.call('HSET', ARGV[1] .. 'snapshots:' .. ARGV[2], string.format('%.0f', id), ARGV[3])
redis.call('PERSIST', ARGV[4])
return id
