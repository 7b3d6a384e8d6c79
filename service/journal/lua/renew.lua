#!lua flags=allow-oom
-- Holds on to a partition. Nobody else has taken it, or else it is lost, however late this comes.
-- KEYS: own
-- ARGV: owner, lease in ms, name
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  -- Whoever took it thought that this one had died.
  redis.call('HDEL', KEYS[1], 'died:' .. ARGV[3])
  return 0
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + tonumber(ARGV[2])))
return 1
