//! What the server does for rosters, each in one step.
//!
//! KEYS are always: log, ends, names, values, keys (see the [module](super)). Times are the server's,
//! in milliseconds. An end with a half is of a connection that lingers: it leaves, and is not revived
//! by a heartbeat that was on its way.
//!
//! Each call costs, and so does each number that Lua writes out: what is written often is written out
//! once, and the keys' lives are prolonged only when they have come near to the members'.

use crate::redis::script::Script;
use std::sync::LazyLock;

/// Begins every script. `\31` (0x1f) ends a key within a member's name, and `' '` is the byte after.
const COMMON: &str = r"
local S, Z, L, H, K = unpack(KEYS)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function log(what, member, value)
  redis.call('XADD', S, 'MAXLEN', '~', '10000', '*', what, member, 'v', value)
end
local function at(time)
  return string.format('%.1f', time)
end
local function of(key)
  return redis.call('ZRANGE', L, '[' .. key .. '\31', '(' .. key .. ' ', 'BYLEX')
end
local function key_of(member)
  return string.sub(member, 1, -34)
end
local function remove(member, why)
  redis.call('ZREM', Z, member)
  redis.call('ZREM', L, member)
  redis.call('HDEL', H, member)
  log(why, member, '')
end
local function settle(key)
  local members = of(key)
  if #members == 0 then
    redis.call('ZREM', K, key)
    return
  end
  local latest = 0
  for _, member in ipairs(members) do
    latest = math.max(latest, tonumber(redis.call('ZSCORE', Z, member)) or 0)
  end
  redis.call('ZADD', K, at(latest), key)
end
local function why(score)
  if score % 1 == 0 then return 'x' else return 'l' end
end
local function keep(ttl)
  if redis.call('PTTL', Z) >= ttl + 60000 then return end
  for at = 2, 5 do redis.call('PEXPIRE', KEYS[at], 2 * ttl + 60000) end
  redis.call('PEXPIRE', S, math.max(2 * ttl, 86400000))
end
";

fn script(body: &str) -> Script {
    // Made once for each of a few scripts.
    Script::new(Box::leak(format!("{COMMON}{body}").into_boxed_str()))
}

/// ARGV: member, key, ttl, value. How many connections the key has.
pub(super) static JOIN: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local member, key, ttl, value = unpack(ARGV)
ttl = tonumber(ttl)
local over = at(now + ttl)
if redis.call('ZADD', L, '0', member) == 0 then
  local before = tonumber(redis.call('ZSCORE', Z, member) or 'x')
  if before and before <= now then
    remove(member, why(before))
    redis.call('ZADD', L, '0', member)
  end
end
redis.call('ZADD', Z, over, member)
redis.call('HSET', H, member, value)
redis.call('ZADD', K, 'GT', over, key)
log('s', member, value)
keep(ttl)
local alive = 1
for _, other in ipairs(of(key)) do
  if other ~= member and (tonumber(redis.call('ZSCORE', Z, other)) or 0) > now then
    alive = alive + 1
  end
end
return alive",
    )
});

/// ARGV: member, value. Whether it is there.
pub(super) static UPDATE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local member, value = unpack(ARGV)
local before = tonumber(redis.call('ZSCORE', Z, member) or 'x')
if not before or before <= now then return 0 end
redis.call('HSET', H, member, value)
log('s', member, value)
return 1",
    )
});

/// ARGV: member, key, linger. Whether it was there.
pub(super) static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local member, key, linger = unpack(ARGV)
local before = tonumber(redis.call('ZSCORE', Z, member) or 'x')
if not before or before <= now then return 0 end
if linger == '0' then
  remove(member, 'l')
else
  redis.call('ZADD', Z, at(now + tonumber(linger) + 0.5), member)
  keep(tonumber(linger))
end
settle(key)
return 1",
    )
});

/// ARGV: ttl, members. A digit for each: 1 if it is there.
pub(super) static TOUCH: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local ttl = tonumber(ARGV[1])
local ends = redis.call('ZMSCORE', Z, unpack(ARGV, 2))
local over = at(now + ttl)
local found, touched, keys, count = {}, {}, {}, 0
for number, own in ipairs(ends) do
  own = own and tonumber(own)
  if own and own > now and own % 1 == 0 then
    local member = ARGV[number + 1]
    found[number] = '1'
    touched[count + 1], touched[count + 2] = over, member
    keys[count + 1], keys[count + 2] = over, key_of(member)
    count = count + 2
  else
    found[number] = '0'
  end
end
if count > 0 then
  redis.call('ZADD', Z, unpack(touched))
  redis.call('ZADD', K, 'GT', unpack(keys))
  keep(ttl)
end
return table.concat(found)",
    )
});

/// ARGV: the most to remove. Milliseconds to the next end, 0 if more is over, -1 if nobody is there.
pub(super) static REAP: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local over = redis.call('ZRANGE', Z, '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1], 'WITHSCORES')
local keys = {}
for at = 1, #over, 2 do
  remove(over[at], why(tonumber(over[at + 1])))
  keys[key_of(over[at])] = true
end
for key in pairs(keys) do settle(key) end
local first = redis.call('ZRANGE', Z, 0, 0, 'WITHSCORES')
if #first == 0 then return -1 end
return math.max(0, math.ceil(tonumber(first[2]) - now))",
    )
});

/// ARGV: key. Names and values of its live connections, in turn.
pub(super) static GET: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local found = {}
for _, member in ipairs(of(ARGV[1])) do
  if tonumber(redis.call('ZSCORE', Z, member)) > now then
    found[#found + 1] = member
    found[#found + 1] = redis.call('HGET', H, member) or ''
  end
end
return found",
    )
});

/// Live keys, and live connections.
pub(super) static COUNT: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local after = '(' .. string.format('%.0f', now)
return { redis.call('ZCOUNT', K, after, '+inf'), redis.call('ZCOUNT', Z, after, '+inf') }",
    )
});

/// ARGV: the member after which to begin, or nothing; how many; 1 to leave out what is over. The last
/// name if there may be more; the newest place in the log; names and values in turn. A log that is
/// empty is begun, so that it has a place.
pub(super) static PAGE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local after, most, alive = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local from = '-'
if after ~= '' then from = '(' .. after end
local place = ''
if not alive then
  if redis.call('XLEN', S) == 0 then
    log('b', '', '')
    redis.call('PEXPIRE', S, '86400000')
  end
  place = redis.call('XREVRANGE', S, '+', '-', 'COUNT', 1)[1][1]
end
local members = redis.call('ZRANGE', L, from, '+', 'BYLEX', 'LIMIT', 0, most)
local page = { '', place }
if #members == most then page[1] = members[most] end
for _, member in ipairs(members) do
  local own = tonumber(redis.call('ZSCORE', Z, member) or 'x')
  if own and (not alive or own > now) then
    page[#page + 1] = member
    page[#page + 1] = redis.call('HGET', H, member) or ''
  end
end
return page",
    )
});
