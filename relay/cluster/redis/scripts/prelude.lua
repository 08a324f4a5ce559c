-- Before every script of a node's writing connection. KEYS[1]: the node's own key; ARGV[1]: the generation of the connection.
-- What an earlier connection left in a socket that was stuck must not take effect after what a later one has written.
local generation = redis.call('HGET', KEYS[1], 'gen')
if not generation then
  return redis.error_reply('GONE this node has no lease')
end
if generation ~= ARGV[1] then
  return redis.error_reply('STALE a later connection of this node writes')
end

-- The process that a value belongs to: its first line. None: another application has written it.
local function owner_of(value)
  return string.match(value, '^([^\n]+#%d+)\n')
end

local function lives(prefix, owner)
  return redis.call('EXISTS', prefix .. owner) == 1
end

local function foreign(key)
  return redis.error_reply('FOREIGN ' .. key .. ' has a value that is not of the relay')
end

-- Whether nodes have had time to write anew what they had in a Redis that came back empty, or after all leases ran out.
local function settled(opened, milliseconds)
  local since, now = redis.call('GET', opened), redis.call('TIME')
  return since and now[1] * 1000 + now[2] / 1000 - since >= tonumber(milliseconds)
end

-- The devices of a profile whose homes are other nodes that live. What is no device is among them, for the caller to say so.
local function devices_of(key, prefix, me)
  local found, alive = {}, {[me] = false}
  local values = redis.pcall('HVALS', key)
  if values.err then
    return {values.err}
  end
  for _, value in ipairs(values) do
    local owner = owner_of(value)
    if owner and alive[owner] == nil then
      alive[owner] = lives(prefix, owner)
    end
    if not owner or alive[owner] then
      found[#found + 1] = value
    end
  end
  return found
end
