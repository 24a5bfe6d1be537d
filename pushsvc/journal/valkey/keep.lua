-- Stores a snapshot, and drops entries that needn't be kept any longer.
-- KEYS: state, log, snapshots
-- ARGV: the expected epoch, the snapshot's seq, stamp and body; the milliseconds and bytes of
-- entries to keep
-- Returns {'kept' | 'old', the horizon} or {'epoch', the current epoch}
--
-- `marks` in the state lists the stored snapshots, oldest first: their seqs, stamps, and the bytes
-- of all entries up to them since the journal was made.
local found = redis.call('HMGET', KEYS[1], 'epoch', 'horizon', 'bytes', 'dropped', 'marks')
if found[1] ~= ARGV[1] then
  return {'epoch', found[1] or ''}
end
local keep_ms, keep_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local marks = {}
for seq, stamp, bytes in string.gmatch(found[5], '(%d+):(%d+):(%d+)') do
  marks[#marks + 1] = {seq = seq, stamp = tonumber(stamp), bytes = tonumber(bytes)}
end
local newest = marks[#marks]
if tonumber(ARGV[2]) <= tonumber(newest and newest.seq or found[2]) then
  return {'old', found[2]}
end
local entry = redis.call('XREVRANGE', KEYS[2], ARGV[2] .. '-18446744073709551615', '-', 'COUNT', 1)[1]
if not entry then
  return {'old', found[2]}
end
local mark = {
  seq = ARGV[2], stamp = tonumber(ARGV[3]), bytes = tonumber(string.sub(entry[2][1], 17))
}
local before = marks[#marks - 1]
if before and mark.stamp - before.stamp <= keep_ms / 4 and mark.bytes - before.bytes <= keep_bytes / 4 then
  -- The snapshots are close together: the one in between is dropped to save memory.
  redis.call('HDEL', KEYS[3], newest.seq)
  marks[#marks] = nil
end
marks[#marks + 1] = mark
redis.call('HSET', KEYS[3], mark.seq, ARGV[4])

local time = redis.call('TIME')
local since = time[1] * 1000 + math.floor(time[2] / 1000) - keep_ms
local bytes = tonumber(found[3])
local first = 0
for i = 1, #marks do
  if marks[i].stamp <= since then
    first = i
  end
end
-- If more than keep_bytes remain, drop up to the first snapshot after which no more remain, or up
-- to the newest.
local begins = first > 0 and marks[first].bytes or tonumber(found[4])
while bytes - begins > keep_bytes and first < #marks do
  first = first + 1
  begins = marks[first].bytes
end
local horizon, dropped = found[2], found[4]
if first > 0 then
  for i = 1, first - 1 do
    redis.call('HDEL', KEYS[3], marks[i].seq)
  end
  horizon, dropped = marks[first].seq, string.format('%.0f', marks[first].bytes)
  redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f-0', tonumber(horizon) + 1))
end
local text = {}
for i = math.max(first, 1), #marks do
  text[#text + 1] = string.format('%s:%.0f:%.0f', marks[i].seq, marks[i].stamp, marks[i].bytes)
end
redis.call('HSET', KEYS[1], 'horizon', horizon, 'dropped', dropped, 'marks', table.concat(text, ','))
return {'kept', horizon}
