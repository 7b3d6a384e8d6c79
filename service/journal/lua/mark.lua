#!lua flags=allow-oom
-- Notes that an entry is about to be stepped. The note goes with the next commit.
-- KEYS: own
-- ARGV: owner, place
-- Returns how many owners in a row died with a note of this entry; -1 if this one owns nothing.
local own = redis.call('HMGET', KEYS[1], 'owner', 'suspect', 'suspected')
if own[1] ~= ARGV[1] then
  return -1
end
redis.call('HSET', KEYS[1], 'mark', ARGV[2])
return own[2] == ARGV[2] and tonumber(own[3]) or 0
