#!lua
-- Writes records of a stream that is not there yet; until it is, they are those of a deleted one.
-- KEYS: log, head
-- ARGV: uid, then for each record: received at, entries, the stream's entries up to it, token, payload
-- Returns their positions.
local head = redis.call('HMGET', KEYS[2], 'last', 'ordinal', 'count', 'bytes')
local last, ordinal = tonumber(head[1] or 0), tonumber(head[2] or 0)
local count, bytes = tonumber(head[3] or 0), tonumber(head[4] or 0)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local positions = {}
for i = 2, #ARGV, 5 do
  last = math.max(now, last + 1)
  ordinal, count, bytes = ordinal + 1, count + tonumber(ARGV[i + 1]), bytes + #ARGV[i + 4]
  positions[#positions + 1] = string.format('%.0f', last)
  redis.call('XADD', KEYS[1], positions[#positions] .. '-0', 'u', ARGV[1], 't', ARGV[i], 'n',
    ARGV[i + 1], 'k', string.format('%.0f', ordinal), 'c', string.format('%.0f', count), 's',
    ARGV[i + 2], 'a', '0', 'x', ARGV[i + 3], 'd', ARGV[i + 4])
end
redis.call('HSET', KEYS[2], 'last', string.format('%.0f', last), 'ordinal',
  string.format('%.0f', ordinal), 'count', string.format('%.0f', count), 'bytes',
  string.format('%.0f', bytes))
return positions
