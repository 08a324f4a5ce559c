-- Counts one in a window that begins with its first count. KEYS: node, the window. ARGV: generation, its length in ms.
-- Returns the count, and the ms until the window ends.
local count = redis.call('INCR', KEYS[2])
if redis.call('PTTL', KEYS[2]) < 0 then
  redis.call('PEXPIRE', KEYS[2], ARGV[2])
end
return {count, redis.call('PTTL', KEYS[2])}
