"""Server-side scripts: the steps on Redis that must not be torn apart.

Each uses keys of one stream only, and names beside the stream put it in braces, so that all of
them live in one slot of a cluster.
"""

PUBLISH = """
-- Adds facts if the stream ends where the caller believes. Returns the stream's last number.
-- KEYS stream, origin  ARGV origin, expected last number, longest, then number and event in turn
if redis.call('GET', KEYS[2]) ~= ARGV[1] then -- emptied, or a log that was here before this one
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[2], ARGV[1])
end
local last = 0
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = tonumber(string.match(info[i + 1], '^%d+')) end
  end
end
if last ~= tonumber(ARGV[2]) then return last end
for i = 4, #ARGV, 2 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[i] .. '-0', 'e', ARGV[i + 1])
  last = tonumber(ARGV[i])
end
return last
"""

ENSURE = """
-- Adds entries that the stream does not have. An entry that was parked counts as had.
-- KEYS stream, index  ARGV seq, key and payload in turn
local added = 0
for i = 1, #ARGV, 3 do
  local id = redis.call('HGET', KEYS[2], ARGV[i])
  if not id or (id ~= 'dead' and #redis.call('XRANGE', KEYS[1], id, id) == 0) then
    id = redis.call('XADD', KEYS[1], '*', 's', ARGV[i], 'k', ARGV[i + 1], 'p', ARGV[i + 2])
    redis.call('HSET', KEYS[2], ARGV[i], id)
    added = added + 1
  end
end
return added
"""

DROP = """
-- Takes entries out of the stream and of its index.  KEYS stream, index  ARGV seqs
for i = 1, #ARGV do
  local id = redis.call('HGET', KEYS[2], ARGV[i])
  if id then
    if id ~= 'dead' then redis.call('XDEL', KEYS[1], id) end
    redis.call('HDEL', KEYS[2], ARGV[i])
  end
end
return #ARGV
"""

BEAT = """
-- Keeps entries from looking idle, without taking back one that was claimed by somebody else.
-- KEYS stream  ARGV group, consumer, then ids. Returns per id 1 held, 0 gone, -1 another's.
local held = {}
for i = 3, #ARGV do
  local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
  if pending.err or #pending == 0 then
    held[#held + 1] = 0
  elseif pending[1][2] ~= ARGV[2] then
    held[#held + 1] = -1
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
    held[#held + 1] = 1
  end
end
return held
"""

RELEASE = """
-- Gives an entry of one's own back: idle for so long, delivered so often.
-- KEYS stream  ARGV group, consumer, id, idle ms, deliveries
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)
if pending.err or #pending == 0 or pending[1][2] ~= ARGV[2] then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3],
  'IDLE', ARGV[4], 'RETRYCOUNT', ARGV[5], 'JUSTID')
return 1
"""

BURY = """
-- Parks an entry and acknowledges it.
-- KEYS stream, dead stream, index  ARGV group, id, seq, longest, then fields of the dead entry
local acknowledged = redis.pcall('XACK', KEYS[1], ARGV[1], ARGV[2])
if type(acknowledged) == 'table' or acknowledged == 0 then return 0 end
local fields = {}
for i = 5, #ARGV do fields[#fields + 1] = ARGV[i] end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', unpack(fields))
if redis.call('HEXISTS', KEYS[3], ARGV[3]) == 1 then
  redis.call('HSET', KEYS[3], ARGV[3], 'dead')
end
return 1
"""

FENCED_APPEND = """
-- Adds an entry unless a newer fence has been seen. Returns its id, or the newer fence.
-- KEYS stream, fence  ARGV fence, longest (0: no cap), then fields
local newest = tonumber(redis.call('GET', KEYS[2]) or '0')
local fence = tonumber(ARGV[1])
if fence < newest then return newest end
if fence > newest then redis.call('SET', KEYS[2], ARGV[1]) end
local fields = {}
for i = 3, #ARGV do fields[#fields + 1] = ARGV[i] end
if tonumber(ARGV[2]) > 0 then
  return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', unpack(fields))
end
return redis.call('XADD', KEYS[1], '*', unpack(fields))
"""


def beside(what: str, stream: str) -> str:
    """Return the name of a key that belongs to a stream and lives in its slot."""
    return f"{what}:{{{stream}}}"
