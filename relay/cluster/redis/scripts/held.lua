-- KEYS: node, opened, what a profile is claimed by. ARGV: generation, prefix of nodes, ms to settle.
-- Returns the claim, whether its owner lives, and whether that can be relied on.
local held = redis.call('GET', KEYS[3])
if not held then
  return false
end
local owner = owner_of(held)
if not owner then
  return foreign(KEYS[3])
end
return {held, lives(ARGV[2], owner) and 1 or 0, settled(KEYS[2], ARGV[3]) and 1 or 0}
