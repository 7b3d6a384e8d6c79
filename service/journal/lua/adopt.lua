#!lua
-- Makes a stream of what was staged for it, and counts all of the log as applied.
-- KEYS: own, names, head, pending, news
-- ARGV: prefix, owner, epoch, uid, name, kinds of keys that were staged, snapshots,
--       those kinds, for each snapshot: id, meta, blob key, then the stream's fields and values
-- Returns what it did: OK, or why not.
local prefix, uid = ARGV[1], ARGV[4]
local own = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if own[1] ~= ARGV[2] or own[2] ~= ARGV[3] then
  return {'FENCED', own[2] or '0'}
end
if redis.call('HEXISTS', KEYS[2], ARGV[5]) == 1 then
  return {'THERE', ''}
end
local head = redis.call('HMGET', KEYS[3], 'last', 'ordinal', 'depth')
if tonumber(head[3] or 0) > 0 then
  return {'WAITS', head[3]}
end
local kinds, snapshots, staged = tonumber(ARGV[6]), tonumber(ARGV[7]), {}
for i = 8, 7 + kinds do
  staged[#staged + 1] = prefix .. ARGV[i] .. ':' .. uid
end
local first = 8 + kinds
for i = first, first + 3 * snapshots - 1, 3 do
  staged[#staged + 1] = ARGV[i + 2]
end
for _, key in ipairs(staged) do
  if redis.call('EXISTS', key) == 0 then
    return {'LOST', key}
  end
end
for _, key in ipairs(staged) do
  redis.call('PERSIST', key)
end
for i = first, first + 3 * snapshots - 1, 3 do
  redis.call('HSET', prefix .. 'snapshots:' .. uid, ARGV[i], ARGV[i + 1])
end
for i = first + 3 * snapshots, #ARGV, 2 do
  redis.call('HSET', prefix .. 'stream:' .. uid, ARGV[i], ARGV[i + 1])
end
redis.call('HSET', KEYS[2], ARGV[5], uid)
redis.call('HSET', KEYS[4], uid, '0')
if head[1] then
  redis.call('HSET', KEYS[3], 'at', head[1], 'at_ordinal', head[2], 'depth', '0', 'bytes', '0')
end
redis.call('XADD', KEYS[5], 'MAXLEN', '10000', '*', 'made', uid, 'name', ARGV[5])
return {'OK', ''}
