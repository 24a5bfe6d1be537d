-- Checks whether the journal is still the one that a client knows, and makes it if there is none.
-- KEYS: state, log, writers, snapshots, probe
-- ARGV: format, a new epoch; and what the client knows: the epoch ('' if none yet), and the seq, id
-- and nonce of the last entry that it read ('0', '', '' before the first)
-- Returns {'ok' | 'made' | 'raised' | 'format', epoch, seq, horizon, stamp}
local format, proposed, known, last, id, nonce = unpack(ARGV)
local found = redis.call('HMGET', KEYS[1], 'format', 'epoch', 'seq', 'horizon', 'stamp')
local result = 'ok'

-- The commands that are needed later, on a key that doesn't exist: only a missing permission is an
-- error.
for _, call in ipairs({
  {'XADD', KEYS[5], 'NOMKSTREAM', '*', 'a', 'b'}, {'XTRIM', KEYS[5], 'MINID', '0'},
  {'XRANGE', KEYS[5], '-', '+', 'COUNT', '1'}, {'XREVRANGE', KEYS[5], '+', '-', 'COUNT', '1'},
  {'XLEN', KEYS[5]}, {'HGET', KEYS[5], 'a'}, {'HDEL', KEYS[5], 'a'},
  {'DEL', KEYS[5]}, {'TIME'},
}) do
  local answer = redis.pcall(unpack(call))
  local err = type(answer) == 'table' and answer.err
  -- The second text is that of Redis up to 7.0.
  if err and (string.find(err, 'permission', 1, true) or string.find(err, "script can't", 1, true)) then
    return redis.error_reply("NOPERM no permission for the '" .. string.lower(call[1]) .. "' command")
  end
end

if not found[2] then
  -- Without its state, the rest of a log can't be used.
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
  redis.call('HSET', KEYS[1], 'format', format, 'epoch', proposed, 'seq', '0', 'horizon', '0',
    'stamp', '0', 'bytes', '0', 'dropped', '0', 'marks', '')
  return {'made', proposed, '0', '0', '0'}
end
if found[1] ~= format then
  return {'format', found[1] or '', '0', '0', '0'}
end

-- The epoch changes once per loss: the next client finds an epoch other than the one that it knows.
if known == found[2] and tonumber(last) > 0 then
  local lost = tonumber(last) > tonumber(found[3])
  if not lost and id ~= '' and tonumber(last) > tonumber(found[4]) then
    local entry = redis.call('XRANGE', KEYS[2], id, id)[1]
    lost = not entry or string.sub(entry[2][1], 1, 16) ~= nonce
  end
  if lost then
    redis.call('HSET', KEYS[1], 'epoch', proposed)
    found[2] = proposed
    result = 'raised'
  end
end

-- Remove writers that have appended nothing for a day.
local now = tonumber(redis.call('TIME')[1])
local writers = redis.call('HGETALL', KEYS[3])
for i = 1, #writers, 2 do
  local at = tonumber(string.match(writers[i + 1], ':(%d+)$'))
  if now - at > 86400 then
    redis.call('HDEL', KEYS[3], writers[i])
  end
end
return {result, found[2], found[3], found[4], found[5]}
