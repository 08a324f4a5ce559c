-- Counts one in some windows, each of which begins with its first count. KEYS: node, the windows. ARGV: generation, their lengths in
-- ms. Returns of each the count, and the ms until it ends.
local found = {}
for at = 2, #KEYS do
  found[#found + 1] = redis.call('INCR', KEYS[at])
  if redis.call('PTTL', KEYS[at]) < 0 then
    redis.call('PEXPIRE', KEYS[at], ARGV[at])
  end
  found[#found + 1] = redis.call('PTTL', KEYS[at])
end
return found
