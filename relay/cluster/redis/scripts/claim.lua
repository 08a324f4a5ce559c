-- Both profiles or none. KEYS: node, opened, the sheet, what the profiles are claimed by, then the devices of each, if these are
-- asked for. ARGV: generation, prefix of nodes, the claim, ms to settle, expiry in s, what to keep as the sheet, or nothing.
-- Returns the claim that stands, and, if it is this one, the devices of each profile as devices.lua does. The claim of a node
-- without a lease is void.
if not settled(KEYS[2], ARGV[4]) then
  return redis.error_reply('SETTLING the nodes write anew what they had')
end
for at = 4, 5 do
  local held = redis.call('GET', KEYS[at])
  if held and held ~= ARGV[3] then
    local owner = owner_of(held)
    if not owner then
      return foreign(KEYS[at])
    end
    if lives(ARGV[2], owner) then
      return {held}
    end
  end
end
for at = 4, 5 do
  redis.call('SET', KEYS[at], ARGV[3], 'EX', ARGV[5])
end
if ARGV[6] ~= '' then
  redis.call('SET', KEYS[3], ARGV[6], 'EX', ARGV[5])
end
local found = {ARGV[3]}
for at = 6, #KEYS do
  found[#found + 1] = devices_of(KEYS[at], ARGV[2], owner_of(ARGV[3]))
end
return found
