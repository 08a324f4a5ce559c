-- KEYS: the node, the set of nodes, opened, the node's inbox. ARGV: the node, its generation, its card, the duration in ms, the
-- expiry of the inbox in s. Returns whether the lease was there.
local there = redis.call('EXISTS', KEYS[1])
redis.call('HSET', KEYS[1], 'card', ARGV[3])
if there == 0 then
  redis.call('HSET', KEYS[1], 'gen', ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SADD', KEYS[2], ARGV[1])
if redis.call('PEXPIRE', KEYS[3], ARGV[4]) == 0 then
  local now = redis.call('TIME')
  redis.call('SET', KEYS[3], string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)), 'PX', ARGV[4])
end
redis.call('EXPIRE', KEYS[4], ARGV[5])
return there
