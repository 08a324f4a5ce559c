-- KEYS: node, the profile's devices, what the profile is claimed by, the token if it has one. ARGV: generation, prefix of nodes,
-- device, home, card, the device that it replaces, expiry in s. Returns the profile's claim, if its owner lives.
local order = nil
local known = redis.call('HGET', KEYS[2], ARGV[3])
if known then
  order = string.match(known, '^[^\n]+\n(%d+)\n')
end
if not order then
  local now = redis.call('TIME')
  order = string.format('%.0f', now[1] * 1000000 + now[2])
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] .. '\n' .. order .. '\n' .. ARGV[5])
redis.call('EXPIRE', KEYS[2], ARGV[7])
local replaced = ARGV[6] ~= '' and redis.call('HGET', KEYS[2], ARGV[6])
if replaced then
  local owner = owner_of(replaced)
  if owner and not lives(ARGV[2], owner) then
    redis.call('HDEL', KEYS[2], ARGV[6])
  end
end
if KEYS[4] then
  redis.call('SET', KEYS[4], ARGV[4] .. '\n' .. ARGV[5], 'EX', ARGV[7])
end
local held = redis.call('GET', KEYS[3])
if not held then
  return false
end
local owner = owner_of(held)
if not owner then
  return foreign(KEYS[3])
end
return lives(ARGV[2], owner) and held
