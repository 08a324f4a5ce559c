-- The node ends. KEYS: the node, the set of nodes, its inbox. ARGV: the node.
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('SREM', KEYS[2], ARGV[1])
return 1
