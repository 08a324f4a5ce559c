-- Both profiles or none. KEYS: node, opened, then what the profiles are claimed by. ARGV: generation, prefix of nodes, the claim,
-- ms to settle, expiry in s. Returns the claim that stands. That of a node without a lease is void.
if not settled(KEYS[2], ARGV[4]) then
  return redis.error_reply('SETTLING the nodes write anew what they had')
end
for at = 3, #KEYS do
  local held = redis.call('GET', KEYS[at])
  if held and held ~= ARGV[3] then
    local owner = owner_of(held)
    if not owner then
      return foreign(KEYS[at])
    end
    if lives(ARGV[2], owner) then
      return held
    end
  end
end
for at = 3, #KEYS do
  redis.call('SET', KEYS[at], ARGV[3], 'EX', ARGV[5])
end
return ARGV[3]
