#!lua flags=allow-oom
-- Notes which format it takes to read all snapshots of a partition, if it is mine.
-- KEYS: own, head
-- ARGV: owner, format
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[2], 'format', ARGV[2])
return 1
