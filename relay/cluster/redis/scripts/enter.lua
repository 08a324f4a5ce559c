-- A new writing connection. KEYS: the node. ARGV: the generation.
local generation = redis.call('HGET', KEYS[1], 'gen')
if not generation then
  return redis.error_reply('GONE this node has no lease')
end
if tonumber(ARGV[1]) > tonumber(generation) then
  redis.call('HSET', KEYS[1], 'gen', ARGV[1])
end
return 1
