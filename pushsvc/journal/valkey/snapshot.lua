-- The snapshot at the horizon.
-- KEYS: state, snapshots
-- ARGV: the expected epoch
-- Returns {'none'}, {'snapshot', seq, stamp, body} or {'epoch', the current epoch}
local found = redis.call('HMGET', KEYS[1], 'epoch', 'horizon', 'marks')
if found[1] ~= ARGV[1] then
  return {'epoch', found[1] or ''}
end
if found[2] == '0' then
  return {'none'}
end
local stamp = string.match(found[3], '^%d+:(%d+)')
return {'snapshot', found[2], stamp, redis.call('HGET', KEYS[2], found[2])}
