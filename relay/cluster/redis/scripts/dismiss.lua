-- KEYS: node, the profile's devices, the token if it has one. ARGV: generation, device, its home.
local known = redis.call('HGET', KEYS[2], ARGV[2])
if known and owner_of(known) == ARGV[3] then
  redis.call('HDEL', KEYS[2], ARGV[2])
end
if KEYS[3] then
  local token = redis.call('GET', KEYS[3])
  if token and owner_of(token) == ARGV[3] then
    redis.call('DEL', KEYS[3])
  end
end
return 1
