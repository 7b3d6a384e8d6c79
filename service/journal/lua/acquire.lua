#!lua
-- Takes a partition that is free, whose lease is over, or that is mine already.
-- KEYS: own
-- ARGV: owner, name, lease in ms
-- Returns the epoch, and how many owners in a row died without a commit (at least two, if one left
-- a note of what it was about to step); epoch 0 if not taken.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'until', 'deaths', 'mark', 'name', 'suspect')
local owner, epoch, deaths = own[1] or '', tonumber(own[2] or 0), tonumber(own[4] or 0)
if owner ~= '' and owner ~= ARGV[1] and tonumber(own[3]) > now then
  return {0, 0}
end
local mark = own[5] or ''
if owner ~= ARGV[1] then
  epoch = epoch + 1
  -- Whoever asks is alive.
  redis.call('HDEL', KEYS[1], 'died:' .. ARGV[2])
  if owner == '' then
    deaths = 0
  elseif own[6] ~= ARGV[2] then
    deaths = deaths + 1
    if mark ~= '' then
      if own[7] ~= mark then
        for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
          if string.sub(field, 1, 5) == 'died:' then
            redis.call('HDEL', KEYS[1], field)
          end
        end
        redis.call('HSET', KEYS[1], 'suspect', mark)
      end
      redis.call('HSET', KEYS[1], 'died:' .. own[6], mark)
    end
  end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'name', ARGV[2], 'epoch', string.format('%.0f', epoch),
  'until', string.format('%.0f', now + tonumber(ARGV[3])), 'deaths', string.format('%.0f', deaths))
return {epoch, mark ~= '' and math.max(deaths, 2) or deaths}
