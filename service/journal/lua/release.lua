#!lua flags=allow-oom
-- Gives a partition up, if it is mine.
-- KEYS: own
-- ARGV: owner
if redis.call('HGET', KEYS[1], 'owner') == ARGV[1] then
  redis.call('HSET', KEYS[1], 'owner', '', 'until', '0')
end
return 1
