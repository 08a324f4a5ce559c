-- KEYS: node, a key. ARGV: generation.
return redis.call('GET', KEYS[2])
