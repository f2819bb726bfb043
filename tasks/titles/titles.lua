--[[ Every write that decides something about a followed title, each one atomic.

Keys (KEYS[1] is the prefix, "manhwa:"; `key` is that of a manga, `follower` any name without a colon)
  title:<key>         hash  version, source, manga (JSON), mark, looked_at, whole_at, failures, trouble, news (how many so far),
                            and `baseline` once it is known which chapters are no news
  title:<key>:known   set   of words that say of a chapter that it is no news, see title.py
  title:<key>:news    list  JSON of a `News`, oldest first; only the newest MOST_KEPT
  title:<key>:told    hash  follower -> how many of the news were passed on to it
  titles:of:<source>  zset  keys by the time at which they are looked at next
  titles:to-tell      zset  `<key>:<follower>` by the time from which on it may be told what is new
  titles:looks        hash  what looking at titles came to, for onlookers: <source>|changed, |same, |failed

Calls (ARGV[1] is the move; times are Unix seconds as text)
  follow  key follower version source manga due known   -> 1 | 0 it did before.  known: JSON list of the words of what is no
                                                     news, for a title that nobody followed; "" = the first look finds that out
  unfollow key follower                           -> how many follow it still; with the last one all of it goes
  take    source now until most soon              -> keys that are due by `soon`, once one is by `now`; not due again before `until`
  found   key now due mark chapters               -> how many are new, -1 nobody follows it any more.  chapters: JSON list of
                                                     [words by which it is known, further words of it, JSON of a `News`]
  same    key now due                                nothing has changed
  failed  key now due trouble counts                 counts: "0" = it is not one of the title's failures
  pending key follower                            -> {told, news, those between…} | {} it does not follow.  where the follower stands
  advance key follower from to outbox id payload  -> 1 | 0 somebody was faster.  `payload` "" = there is nothing to tell
  put_off key follower at                            not before then; "" = not before it is reminded
  remind  key follower now                           it may be told what it was not
  hand_on key follower other                         the other one follows in its place
]]

local prefix, move, key = KEYS[1], ARGV[1], ARGV[2]
local MOST_KEPT = 500
local title = prefix .. 'title:' .. (key or '')
local to_tell = prefix .. 'titles:to-tell'

local function due(at)
  redis.call('ZADD', prefix .. 'titles:of:' .. redis.call('HGET', title, 'source'), 'XX', at, key)
end

local function count(what)
  redis.call('HINCRBY', prefix .. 'titles:looks', redis.call('HGET', title, 'source') .. '|' .. what, 1)
end

local function learn(words)
  for _, word in ipairs(words) do redis.call('SADD', title .. ':known', word) end
end

local function follow(follower, version, source, manga, at, known)
  if redis.call('EXISTS', title) == 0 then
    redis.call('HSET', title, 'version', version, 'source', source, 'mark', '', 'looked_at', '0', 'whole_at', '0',
      'failures', '0', 'trouble', '', 'news', '0', 'baseline', known == '' and '' or '1', 'manga', manga)
    if known ~= '' then learn(cjson.decode(known)) end
    redis.call('ZADD', prefix .. 'titles:of:' .. source, at, key)
  end
  if known ~= '' then redis.call('HSET', title, 'manga', manga) end
  return redis.call('HSETNX', title .. ':told', follower, redis.call('HGET', title, 'news'))
end

local function unfollow(follower)
  redis.call('HDEL', title .. ':told', follower)
  redis.call('ZREM', to_tell, key .. ':' .. follower)
  local others = redis.call('HLEN', title .. ':told')
  if others == 0 and redis.call('EXISTS', title) == 1 then
    redis.call('ZREM', prefix .. 'titles:of:' .. redis.call('HGET', title, 'source'), key)
    redis.call('DEL', title, title .. ':known', title .. ':news', title .. ':told')
  end
  return others
end

local function take(source, now, till, most, soon)
  local queue = prefix .. 'titles:of:' .. source
  if redis.call('ZCOUNT', queue, '-inf', now) == 0 then return {} end
  local found = redis.call('ZRANGEBYSCORE', queue, '-inf', soon, 'LIMIT', 0, most)
  for _, one in ipairs(found) do redis.call('ZADD', queue, till, one) end
  return found
end

local function is_known(words)
  for _, word in ipairs(words) do
    if redis.call('SISMEMBER', title .. ':known', word) == 1 then return true end
  end
  return false
end

local function found(now, at, mark, chapters)
  if redis.call('EXISTS', title) == 0 then return -1 end
  local fresh, all = {}, cjson.decode(chapters)
  local has_baseline = redis.call('HGET', title, 'baseline') ~= ''
  for _, one in ipairs(all) do
    if has_baseline and not is_known(one[1]) then fresh[#fresh + 1] = one[3] end
    learn(one[1])
    learn(one[2])
  end
  redis.call('HSET', title, 'mark', mark, 'looked_at', now, 'whole_at', now, 'failures', '0', 'trouble', '',
    'baseline', '1')
  due(at)
  count(#fresh > 0 and 'changed' or 'same')
  if #fresh == 0 then return 0 end
  for _, news in ipairs(fresh) do redis.call('RPUSH', title .. ':news', news) end
  redis.call('LTRIM', title .. ':news', -MOST_KEPT, -1)
  redis.call('HINCRBY', title, 'news', #fresh)
  for _, follower in ipairs(redis.call('HKEYS', title .. ':told')) do
    redis.call('ZADD', to_tell, 'NX', now, key .. ':' .. follower)
  end
  return #fresh
end

local function same(now, at)
  if redis.call('EXISTS', title) == 0 then return end
  redis.call('HSET', title, 'looked_at', now, 'failures', '0', 'trouble', '')
  due(at)
  count('same')
end

local function failed(now, at, trouble, counts)
  if redis.call('EXISTS', title) == 0 then return end
  if counts ~= '0' then redis.call('HINCRBY', title, 'failures', 1) end
  redis.call('HSET', title, 'trouble', trouble)
  due(at)
  count('failed')
end

local function pending(follower)
  local told = redis.call('HGET', title .. ':told', follower)
  if not told then return {} end
  local news = redis.call('HGET', title, 'news')
  local answer = {told, news}
  if tonumber(told) < tonumber(news) then
    for _, one in ipairs(redis.call('LRANGE', title .. ':news', tonumber(told) - tonumber(news), -1)) do
      answer[#answer + 1] = one
    end
  end
  return answer
end

local function advance(follower, from, to, outbox, id, payload)
  if redis.call('HGET', title .. ':told', follower) ~= from then return 0 end
  redis.call('HSET', title .. ':told', follower, to)
  if payload ~= '' then redis.call('HSET', outbox, id, payload) end
  if redis.call('HGET', title, 'news') == to then
    redis.call('ZREM', to_tell, key .. ':' .. follower)
  end
  return 1
end

local function put_off(follower, at)
  if at == '' then return redis.call('ZREM', to_tell, key .. ':' .. follower) end
  return redis.call('ZADD', to_tell, 'XX', at, key .. ':' .. follower)
end

local function remind(follower, now)
  local told = redis.call('HGET', title .. ':told', follower)
  if told and tonumber(told) < tonumber(redis.call('HGET', title, 'news')) then
    redis.call('ZADD', to_tell, now, key .. ':' .. follower)
  end
end

local function hand_on(follower, other)
  local told = redis.call('HGET', title .. ':told', follower)
  if not told then return end
  redis.call('HSETNX', title .. ':told', other, told)
  redis.call('HDEL', title .. ':told', follower)
  local at = redis.call('ZSCORE', to_tell, key .. ':' .. follower)
  if at then
    redis.call('ZADD', to_tell, 'NX', at, key .. ':' .. other)
    redis.call('ZREM', to_tell, key .. ':' .. follower)
  end
end

local moves = {
  follow = follow, unfollow = unfollow, found = found, same = same, failed = failed,
  pending = pending, advance = advance, put_off = put_off, remind = remind,
  hand_on = hand_on,
}

if move == 'take' then return take(unpack(ARGV, 2)) end
return moves[move](unpack(ARGV, 3))
