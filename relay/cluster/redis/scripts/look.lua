-- Processes that live, each followed by its card; forgets those that do not. KEYS: the set of nodes. ARGV: the prefix of nodes.
local found = {}
for _, node in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local card = redis.call('HGET', ARGV[1] .. node, 'card')
  if card then
    found[#found + 1] = node
    found[#found + 1] = card
  else
    redis.call('SREM', KEYS[1], node)
  end
end
return found
