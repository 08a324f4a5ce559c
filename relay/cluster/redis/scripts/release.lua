-- KEYS: node, the call's sheet, then what the profiles are claimed by. ARGV: generation, the claim.
local mine = false
for at = 3, #KEYS do
  if redis.call('GET', KEYS[at]) == ARGV[2] then
    redis.call('DEL', KEYS[at])
    mine = true
  end
end
if mine then
  redis.call('DEL', KEYS[2])
end
return 1
