#!lua flags=allow-oom
-- Commits what came of the records in (previous, upto], all of it or nothing.
-- KEYS: own, head, log, pending, out
-- ARGV: prefix, owner, epoch, previous, upto, records, token of the last one, bytes, results kept,
--       feed payload, oldest feed id kept ('' for all), streams, then for each stream:
--         uid, offset, digest, status, entries, position of its last record ('' if none),
--         spec, version ('' and '' if unchanged), results, their lines,
--         snapshots, for each: meta, blob key, dead letters, for each: six fields
-- Memory may be full: a commit is what frees it, so it is let through.
local prefix, previous, upto = ARGV[1], ARGV[4], ARGV[5]
local own = redis.call('HMGET', KEYS[1], 'owner', 'epoch', 'deaths', 'mark')
if own[1] ~= ARGV[2] or own[2] ~= ARGV[3] then
  return {'FENCED', own[2] or '0'}
end
local head = redis.call('HMGET', KEYS[2], 'at', 'at_ordinal', 'depth', 'bytes')
if (head[1] or '0') ~= previous then
  return {'STALE', head[1] or '0'}
end
local ordinal = head[2] or '0'
if upto ~= previous then
  local found = redis.call('XRANGE', KEYS[3], upto .. '-0', upto .. '-0')
  if not found[1] or tonumber(upto) <= tonumber(previous) then
    return {'PHANTOM', 'no record there'}
  end
  local fields = {}
  for f = 1, #found[1][2], 2 do
    fields[found[1][2][f]] = found[1][2][f + 1]
  end
  if fields['x'] ~= ARGV[7] then
    return {'PHANTOM', 'another record than was read'}
  end
  if tonumber(fields['k']) - tonumber(ordinal) ~= tonumber(ARGV[6]) then
    return {'PHANTOM', 'other records before it than were read'}
  end
  ordinal = fields['k']
end

local function next_id(field)
  return string.format('%.0f', redis.call('HINCRBY', KEYS[2], field, 1))
end

local streams, i, blobs = {}, 13, {}
for s = 1, tonumber(ARGV[12]) do
  local stream = {first = i, snapshots = {}, dead = {}}
  i = i + 10
  local snapshots = tonumber(ARGV[i])
  i = i + 1
  for n = 1, snapshots do
    stream.snapshots[n] = {meta = ARGV[i], blob = ARGV[i + 1]}
    blobs[#blobs + 1] = ARGV[i + 1]
    i = i + 2
  end
  local dead = tonumber(ARGV[i])
  i = i + 1
  for n = 1, dead do
    stream.dead[n] = i
    i = i + 6
  end
  streams[s] = stream
  -- A script that fails is not undone, so a result that is there already is refused up front.
  local a = stream.first
  local stands = tonumber(redis.call('HGET', prefix .. 'stream:' .. ARGV[a], 'offset') or 0)
  if tonumber(ARGV[a + 8]) > 0 and ARGV[a + 1] - ARGV[a + 8] < stands then
    return {'STALE', 'offset ' .. string.format('%.0f', stands)}
  end
end
for _, blob in ipairs(blobs) do
  if redis.call('EXISTS', blob) == 0 then
    return {'PHANTOM', 'a snapshot that was written is not there'}
  end
end

local function prune(uid)
  -- Of the snapshots that commits wrote, the two newest stay, and those a client asked for.
  local key, found, own_ids = prefix .. 'snapshots:' .. uid, {}, {}
  local all = redis.call('HGETALL', key)
  for f = 1, #all, 2 do
    found[all[f]] = all[f + 1]
    if string.sub(all[f + 1], 1, 1) ~= '-' then
      own_ids[#own_ids + 1] = tonumber(all[f])
    end
  end
  table.sort(own_ids, function(a, b) return a > b end)
  for n = 3, #own_ids do
    local id = string.format('%.0f', own_ids[n])
    local kept, blob = string.match(found[id], '^[^|]*|[^|]*|[^|]*|[^|]*|([^|]*)|(.*)$')
    if kept == '0' then
      redis.call('HDEL', key, id)
      redis.call('DEL', blob)
    end
  end
end

local depth = tonumber(head[3] or 0)
for _, stream in ipairs(streams) do
  local a = stream.first
  local uid, offset, entries = ARGV[a], ARGV[a + 1], tonumber(ARGV[a + 4])
  if redis.call('HEXISTS', KEYS[4], uid) == 1 then
    local row = prefix .. 'stream:' .. uid
    redis.call('HSET', row, 'offset', offset, 'digest', ARGV[a + 2], 'status', ARGV[a + 3])
    if entries > 0 then
      depth = depth - entries
      redis.call('HINCRBY', KEYS[4], uid, -entries)
    end
    if ARGV[a + 5] ~= '' then
      redis.call('HSET', row, 'last', ARGV[a + 5])
    end
    if ARGV[a + 7] ~= '' then
      redis.call('HSET', row, 'spec', ARGV[a + 6], 'version', ARGV[a + 7])
    end
    local results = tonumber(ARGV[a + 8])
    if results > 0 then
      -- The id names what the results are of: the last offset, and the record that brought it.
      local key, kept = prefix .. 'results:' .. uid, tonumber(ARGV[9])
      redis.call('XADD', key, offset .. '-' .. upto, 'n', ARGV[a + 8], 'd', ARGV[a + 9])
      local batch, number = math.max(1, math.floor(kept / 8)), tonumber(offset)
      if math.floor(number / batch) > math.floor((number - results) / batch) then
        redis.call('XTRIM', key, 'MINID', string.format('%.0f', math.max(0, number - kept + 1)))
      end
    end
    for _, snapshot in ipairs(stream.snapshots) do
      redis.call('HSET', prefix .. 'snapshots:' .. uid, next_id('snapshot'), snapshot.meta)
      redis.call('PERSIST', snapshot.blob)
      local newest = redis.call('HGET', row, 'newest')
      redis.call('HSET', row, 'newest', upto, 'oldest', newest or upto)
    end
    if #stream.snapshots > 0 then
      prune(uid)
    end
    for _, d in ipairs(stream.dead) do
      redis.call('XADD', prefix .. 'dead:' .. uid, '*', 'p', ARGV[d], 'i', ARGV[d + 1], 'r',
        ARGV[d + 2], 't', ARGV[d + 3], 'd', ARGV[d + 4], 'e', ARGV[d + 5])
      if ARGV[d + 2] == 'raised' then
        redis.call('ZADD', prefix .. 'raised:' .. uid, ARGV[d], ARGV[d] .. ':' .. ARGV[d + 1])
      end
    end
    if #stream.dead > 0 then
      redis.call('XTRIM', prefix .. 'dead:' .. uid, 'MAXLEN', 10000)
    end
  end
end
redis.call('HSET', KEYS[2], 'at', upto, 'at_ordinal', ordinal, 'depth',
  string.format('%.0f', depth), 'bytes',
  string.format('%.0f', tonumber(head[4] or 0) - tonumber(ARGV[8])))
if upto ~= previous and ((own[3] and own[3] ~= '0') or (own[4] and own[4] ~= '')) then
  redis.call('HSET', KEYS[1], 'deaths', '0', 'mark', '', 'suspect', '')
end
if ARGV[10] ~= '' then
  redis.call('XADD', KEYS[5], upto .. '-*', 'd', ARGV[10])
  if ARGV[11] ~= '' then
    redis.call('XTRIM', KEYS[5], 'MINID', ARGV[11])
  end
end
return {'OK', string.format('%.0f', depth)}
