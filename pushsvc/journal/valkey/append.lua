-- Appends a group of entries to the log, all of them or none.
-- KEYS: state, log, writers
-- ARGV: the expected epoch, the writer, the group's number, and for each entry its width, its nonce
-- and its body
-- Returns {'done' | 'again', the newest seq} or {'epoch', the current epoch}
--
-- The numbers of a writer increase. A group whose answer was lost is sent again with the same
-- number, and is still in the log only once.
local found = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'stamp', 'bytes')
if found[1] ~= ARGV[1] then
  return {'epoch', found[1] or ''}
end
local time = redis.call('TIME')
local written = redis.call('HGET', KEYS[3], ARGV[2])
if written and tonumber(string.match(written, '^%d+')) >= tonumber(ARGV[3]) then
  -- Written again, so that WAIT on another connection covers this group too.
  redis.call('HSET', KEYS[3], ARGV[2], written)
  return {'again', found[2]}
end
local seq, bytes = tonumber(found[2]), tonumber(found[4])
local stamp = math.max(time[1] * 1000 + math.floor(time[2] / 1000), tonumber(found[3]))
for i = 4, #ARGV, 3 do
  local body = ARGV[i + 2]
  bytes = bytes + #body
  redis.call('XADD', KEYS[2], string.format('%.0f-%.0f', seq + 1, stamp),
    ARGV[i + 1] .. string.format('%.0f', bytes), body)
  seq = seq + tonumber(ARGV[i])
end
seq = string.format('%.0f', seq)
redis.call('HSET', KEYS[1], 'seq', seq, 'stamp', string.format('%.0f', stamp),
  'bytes', string.format('%.0f', bytes))
redis.call('HSET', KEYS[3], ARGV[2], ARGV[3] .. ':' .. time[1])
return {'done', seq}
