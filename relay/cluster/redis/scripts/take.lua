-- Another owner for a claim, if it still stands for all its profiles. KEYS: node, opened, then what the profiles are claimed by.
-- ARGV: generation, prefix of nodes, the claim, the new one, ms to settle, expiry in s, 1: also if the old owner lives.
if ARGV[7] ~= '1' and not settled(KEYS[2], ARGV[5]) then
  return redis.error_reply('SETTLING the nodes write anew what they had')
end
local done = true
for at = 3, #KEYS do
  local held = redis.call('GET', KEYS[at])
  if held ~= ARGV[4] then
    done = false
    if held ~= ARGV[3] then
      return 0
    end
  end
end
if done then
  return 1
end
if ARGV[7] ~= '1' and lives(ARGV[2], owner_of(ARGV[3])) then
  return 0
end
for at = 3, #KEYS do
  redis.call('SET', KEYS[at], ARGV[4], 'EX', ARGV[6])
end
return 1
