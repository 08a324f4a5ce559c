-- The devices of a profile whose homes live. KEYS: node, the profile's devices. ARGV: generation, prefix of nodes.
local found = {}
for _, value in ipairs(redis.call('HVALS', KEYS[2])) do
  local owner = owner_of(value)
  if not owner then
    return foreign(KEYS[2])
  end
  if lives(ARGV[2], owner) then
    found[#found + 1] = value
  end
end
return found
