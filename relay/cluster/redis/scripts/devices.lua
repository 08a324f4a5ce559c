-- KEYS: node, a profile's devices. ARGV: generation, prefix of nodes, this node. Returns those whose homes are other nodes that
-- live, and values that are none.
return devices_of(KEYS[2], ARGV[2], ARGV[3])
