#!lua flags=no-writes
-- KEYS: pending
-- ARGV: prefix
-- Returns the streams that had records since their newest snapshot.
local found = {}
for _, uid in ipairs(redis.call('HKEYS', KEYS[1])) do
  local row = redis.call('HMGET', ARGV[1] .. 'stream:' .. uid, 'last', 'newest')
  if tonumber(row[1] or 0) > tonumber(row[2] or 0) then
    found[#found + 1] = uid
  end
end
return found
