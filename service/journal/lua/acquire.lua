#!lua
-- Takes a partition that is free, whose lease is over, or that is mine already.
-- KEYS: own
-- ARGV: owner, name, lease in ms
-- Returns the epoch, and how many owners in a row died without a commit (at least two, if one left
-- a note of what it was about to step); epoch 0 if not taken.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'until', 'deaths', 'mark')
local owner, epoch, deaths = own[1] or '', tonumber(own[2] or 0), tonumber(own[4] or 0)
if owner ~= '' and owner ~= ARGV[1] and tonumber(own[3]) > now then
  return {0, 0}
end
local mark = own[5] or ''
if owner ~= ARGV[1] then
  epoch = epoch + 1
  deaths = owner == '' and 0 or deaths + 1
  if owner ~= '' and mark ~= '' then
    if redis.call('HGET', KEYS[1], 'suspect') == mark then
      redis.call('HINCRBY', KEYS[1], 'suspected', 1)
    else
      redis.call('HSET', KEYS[1], 'suspect', mark, 'suspected', '1')
    end
  end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'name', ARGV[2], 'epoch', string.format('%.0f', epoch),
  'until', string.format('%.0f', now + tonumber(ARGV[3])), 'deaths', string.format('%.0f', deaths))
return {epoch, mark ~= '' and math.max(deaths, 2) or deaths}
