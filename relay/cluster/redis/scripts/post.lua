-- KEYS: node, the key of the other node, its inbox. ARGV: generation, the envelope, entries to keep, expiry in s.
-- Returns whether that node lives: an inbox without a reader is not made.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[3], '*', 'm', ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return 1
