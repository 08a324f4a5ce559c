-- KEYS: node, what the caller is claimed by, the sheet. ARGV: generation, the claim, the sheet, expiry in s.
if redis.call('GET', KEYS[2]) == ARGV[2] then
  redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[4])
end
return 1
