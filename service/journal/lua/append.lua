#!lua
-- Appends records to the log of a partition; each append is taken whole or not at all.
-- KEYS: log, head, pending
-- ARGV: prefix, most entries, most bytes, then for each append: uid, received at, asked, records, and for
--       each of its records: entries, token, payload
-- Returns for each append its positions, or GONE, or FULL; last, the entries that wait.
local most_entries, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local head = redis.call('HMGET', KEYS[2], 'last', 'ordinal', 'count', 'depth', 'bytes')
local last, ordinal = tonumber(head[1] or 0), tonumber(head[2] or 0)
local count, depth, bytes = tonumber(head[3] or 0), tonumber(head[4] or 0), tonumber(head[5] or 0)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local replies, i = {}, 4
while ARGV[i] do
  local uid, received_at, asked, records = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3])
  local first, entries, size = i + 4, 0, 0
  for r = 0, records - 1 do
    entries = entries + tonumber(ARGV[first + 3 * r])
    size = size + #ARGV[first + 3 * r + 2]
  end
  i = first + 3 * records
  if redis.call('HEXISTS', KEYS[3], uid) == 0 then
    replies[#replies + 1] = {'GONE'}
  elseif depth + entries > most_entries or (depth > 0 and bytes + size > most_bytes) then
    replies[#replies + 1] = {'FULL', depth, bytes}
  else
    local positions = {}
    for r = 0, records - 1 do
      local n, token, payload = ARGV[first + 3 * r], ARGV[first + 3 * r + 1], ARGV[first + 3 * r + 2]
      -- Microseconds, but always one more: a position is never used again, whatever the clock does.
      last = math.max(now, last + 1)
      ordinal, count = ordinal + 1, count + tonumber(n)
      positions[#positions + 1] = string.format('%.0f', last)
      local total = redis.call('HINCRBY', ARGV[1] .. 'stream:' .. uid, 'total', n)
      redis.call('XADD', KEYS[1], positions[#positions] .. '-0', 'u', uid, 't', received_at, 'n', n,
        'k', string.format('%.0f', ordinal), 'c', string.format('%.0f', count), 's', total,
        'a', asked, 'x', token, 'd', payload)
    end
    depth, bytes = depth + entries, bytes + size
    redis.call('HINCRBY', KEYS[3], uid, entries)
    replies[#replies + 1] = positions
  end
end
redis.call('HSET', KEYS[2], 'last', string.format('%.0f', last), 'ordinal',
  string.format('%.0f', ordinal), 'count', string.format('%.0f', count), 'depth',
  string.format('%.0f', depth), 'bytes', string.format('%.0f', bytes))
replies[#replies + 1] = depth
return replies
