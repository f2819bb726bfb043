--[[ Every write that decides something about a job, each one atomic.

Keys (KEYS[1] is the prefix, "manhwa:"; one Redis, no cluster, so the script may name the keys it touches)
  job:<id>          hash    the record, see job.py: version, state, request, requester, key, attempt, fence, created_at, started_at,
                            ended_at, tries, progress, result, error, cancelled_by; and for the line: arrival, queued_at,
                            returning (it had a worker: it need not be called). Expires only after the job has ended.
  job:<id>:lease    string  the fence of the worker that has the job; expires when that worker stops renewing it
  jobs:open         set     ids of jobs that a worker still has to finish (queued, downloading, packing)
  jobs:queued       zset    ids of queued jobs by arrival
  jobs:arrivals     int     counter behind the scores of jobs:queued
  jobs:called       string  id of the queued job whose turn is next: the only one that was sent for a worker
  jobs:served:<person>  int the arrival counter when this person's turn came last; expires after a day
  jobs:key:<key>    string  id of the job that answers to this request key; gone once a new job has to be made for it
  jobs:of:<person>  set     ids of the open jobs this person started: the quota
  jobs:ends         hash    how many jobs came to which end: ready, cancelled, or failed:<code>
  jobs:ready        set     ids of jobs whose files wait to be fetched
  tally             hash    what happened since the beginning, for onlookers: ended|<source>|<end>, recoveries|<kind>,
                            pages|<source>, pages_missing|<source>, page_bytes|<source>; and of queue_wait_seconds and
                            job_seconds: <name>|<source>|<bound> how many were in it, <name>_sum|<source> seconds
  jobs:events       stream  {job: id, state: its state}: something about this job changed, look at the record. A hint; trimmed.
                            Who waits for jobs writes {job: id, watcher: its name} here: something about that one changed

Calls (ARGV[1] is the move; times are Unix seconds as text). `called` is the job to send a message for now, or "".
  create id key requester request now max_active source version
                                                 -> {"created"|"joined", id, called} | {"too_many"}
  take   id now lease_ms max_attempts            -> {fence, called}   fence > 0 | 0 ended or gave up | -1 somebody has it
  keep   id fence now lease_ms progress|""       -> "kept" | "lost" | "cancelled" | "gave_way" (it is queued again)
  pack   id fence progress                       -> "kept" | "lost" | "cancelled"
  stand  id fence                                -> "kept" | "lost" | "cancelled"   writes nothing
  finish id fence state payload ttl now          -> "kept" | "lost" | "cancelled"   state: ready (payload = result)
                                                                                    or failed (payload = error)
  drop   id fence now                            -> 1 | 0      gives the lease back; the job is queued again
  requeue id now limit error ttl                 -> attempt > 0 | 0   open, no lease: queued again for another attempt, or
                                                               failed with that error where `limit` seconds have passed
  cancel id by ttl now                           -> 1 cancelled | 0 it had ended before
  collect id ttl                                 -> 1 | 0      ready files were delivered or given up: they may go
  forget id somebody ttl                                       the requester's name goes at once, an ended record after ttl
  call                                           -> called     whose turn is next, unless that is known already
  lost                                           -> ids of the jobs whose worker renews its lease no more
  census                                         -> {state, source, state, source, …} of all open and ready jobs
  line                                           -> ids of the queued jobs, whose turn is next first

The line is fair to people, not to jobs. Of those measured, a round over the people gives short requests the shortest waits;
letting the message decide would need a message each and a worker that puts most of them back. So only the head of the line
has a message. First comes who has the fewest jobs at work or ahead, then whose last turn is longest ago, then who came first.
A worker is not kept free for newcomers: one that does a person's second job gives way to somebody who has none running, one
that has been at a person's only job for SLICE seconds does as well. Its pages stay on disk, so giving way costs little.

While processes are restarted one by one, this file and that of another release work on the same keys, each call whole and each
with the arguments of its own release. So between two releases that follow each other a key or field keeps its meaning and its
writers; one that is new has to do no harm where the older moves neither read nor write it, which the newer ones have to expect.
]]

local prefix, move, id = KEYS[1], ARGV[1], ARGV[2]
local job = prefix .. 'job:' .. (id or '')
local lease = job .. ':lease'

local function state()
  return redis.call('HGET', job, 'state')
end

local function announce()
  redis.call('XADD', prefix .. 'jobs:events', 'MAXLEN', '~', 10000, '*', 'job', id, 'state', state() or '')
end

local function count(field, by)
  redis.call('HINCRBYFLOAT', prefix .. 'tally', field, by)
end

local BOUNDS = {1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}

-- Into the first bound that holds it: who reads adds them up.
local function observe(name, seconds)
  local source, bound = redis.call('HGET', job, 'source') or '', 'inf'
  for place = #BOUNDS, 1, -1 do
    if seconds <= BOUNDS[place] then bound = BOUNDS[place] end
  end
  count(name .. '|' .. source .. '|' .. bound, 1)
  count(name .. '_sum|' .. source, seconds)
end

local function is_open(s)
  return s == 'queued' or s == 'downloading' or s == 'packing'
end

local function forget_key(seconds)
  local key = prefix .. 'jobs:key:' .. (redis.call('HGET', job, 'key') or '')
  if redis.call('GET', key) == id then redis.call('EXPIRE', key, seconds) end
end

local SETTLE, PATIENCE, SLICE = 5, 2, 60
-- Seconds a worker is at a job before it gives way, a called job waits (a free worker would have taken it), and a turn lasts.

local function queue(now, fresh)
  if fresh then redis.call('HSET', job, 'arrival', redis.call('INCR', prefix .. 'jobs:arrivals')) end
  redis.call('HSET', job, 'state', 'queued', 'queued_at', now)
  redis.call('ZADD', prefix .. 'jobs:queued', redis.call('HGET', job, 'arrival'), id)
end

local function requester(of)
  return redis.call('HGET', prefix .. 'job:' .. of, 'requester') or ''
end

-- How many jobs of each person a worker has.
local function at_work()
  local number = {}
  for _, open in ipairs(redis.call('SMEMBERS', prefix .. 'jobs:open')) do
    if not redis.call('ZSCORE', prefix .. 'jobs:queued', open) then
      local person = requester(open)
      number[person] = (number[person] or 0) + 1
    end
  end
  return number
end

-- The queued jobs in the order of their turns.
local function line()
  local waiting, ahead = {}, at_work()
  for arrival, one in ipairs(redis.call('ZRANGE', prefix .. 'jobs:queued', 0, -1)) do
    local person = requester(one)
    ahead[person] = (ahead[person] or 0) + 1
    local served = tonumber(redis.call('GET', prefix .. 'jobs:served:' .. person) or 0)
    waiting[arrival] = {id = one, turn = ahead[person], served = served, arrival = arrival}
  end
  table.sort(waiting, function(a, b)
    if a.turn ~= b.turn then return a.turn < b.turn end
    if a.served ~= b.served then return a.served < b.served end
    return a.arrival < b.arrival
  end)
  return waiting
end

local function called()
  local one = redis.call('GET', prefix .. 'jobs:called')
  return one and redis.call('ZSCORE', prefix .. 'jobs:queued', one) and one
end

local function call()
  local first = line()[1]
  if not first or first.id == called() then return '' end
  redis.call('SET', prefix .. 'jobs:called', first.id)
  return first.id
end

local function should_give_way(now)
  local ran = now - redis.call('HGET', job, 'started_at')
  local first = called()
  if ran < SETTLE or not first then return false end
  if now - redis.call('HGET', prefix .. 'job:' .. first, 'queued_at') < PATIENCE then return false end
  local number = at_work()
  local mine, theirs = number[requester(id)] or 0, number[requester(first)] or 0
  return theirs + 1 < mine or (theirs < mine and ran >= SLICE)
end

-- The worker is none the worse for it: only lost workers count against a job.
local function give_back(now, fresh)
  redis.call('DEL', lease)
  redis.call('HINCRBY', job, 'fence', 1)
  redis.call('HINCRBY', job, 'tries', -1)
  queue(now, fresh)
  announce()
end

local function close(s, ttl)
  if state() == 'ready' and s == 'cancelled' then redis.call('HINCRBY', prefix .. 'jobs:ends', 'ready', -1) end
  redis.call('HSET', job, 'state', s)
  redis.call('SREM', prefix .. 'jobs:open', id)
  redis.call('ZREM', prefix .. 'jobs:queued', id)
  redis.call('SREM', prefix .. 'jobs:of:' .. redis.call('HGET', job, 'requester'), id)
  redis.call('EXPIRE', job, ttl)
  forget_key(s == 'ready' and ttl or 0)
  redis.call(s == 'ready' and 'SADD' or 'SREM', prefix .. 'jobs:ready', id)
  local ending = s
  if s == 'failed' then ending = 'failed:' .. cjson.decode(redis.call('HGET', job, 'error')).code end
  if s ~= 'collected' then
    redis.call('HINCRBY', prefix .. 'jobs:ends', ending, 1)
    count('ended|' .. (redis.call('HGET', job, 'source') or '') .. '|' .. ending, 1)
  end
  announce()
end

local function tally_pages(result)
  local source, pages, missing = redis.call('HGET', job, 'source') or '', 0, 0
  for _, file in ipairs(result.files) do pages = pages + file.pages end
  for _, one in ipairs(result.missing) do missing = missing + math.max(#one.pages, 1) end
  count('pages|' .. source, pages)
  count('pages_missing|' .. source, missing)
  count('page_bytes|' .. source, cjson.decode(redis.call('HGET', job, 'progress') or '{"bytes":0}').bytes)
end

-- What a worker with this fence may still do.
local function standing(fence)
  local s = state()
  if s == 'cancelled' then return 'cancelled' end
  if not is_open(s) or redis.call('HGET', job, 'fence') ~= fence then return 'lost' end
  return 'kept'
end

local moves = {}

function moves.create()
  local key, person, request, now, max_active = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
  local existing = redis.call('GET', prefix .. 'jobs:key:' .. key)
  if existing and redis.call('EXISTS', prefix .. 'job:' .. existing) == 1 then return {'joined', existing, ''} end
  local own = prefix .. 'jobs:of:' .. person
  if redis.call('SCARD', own) >= max_active then return {'too_many'} end
  redis.call('HSET', job, 'request', request, 'requester', person, 'key', key, 'attempt', 1, 'fence', 0, 'created_at', now,
    'source', ARGV[8], 'version', ARGV[9])
  redis.call('SET', prefix .. 'jobs:key:' .. key, id)
  redis.call('SADD', prefix .. 'jobs:open', id)
  redis.call('SADD', own, id)
  queue(now, true)
  announce()
  return {'created', id, call()}
end

function moves.take()
  local now, lease_ms, max_attempts = ARGV[3], ARGV[4], tonumber(ARGV[5])
  if not is_open(state()) then return {0, call()} end
  if redis.call('EXISTS', lease) == 1 then return {-1, call()} end
  -- Called once, and then somebody came who is to go first; it will be called again.
  local overtaken = state() == 'queued' and (called() or id) ~= id
  if overtaken and redis.call('HEXISTS', job, 'returning') == 0 then return {0, ''} end
  redis.call('HDEL', job, 'returning')
  local fence = redis.call('HINCRBY', job, 'fence', 1)
  if redis.call('HINCRBY', job, 'tries', 1) > max_attempts then
    redis.call('HSET', job, 'error', '{"code":"gave_up","detail":{"attempts":' .. max_attempts .. '}}', 'ended_at', now)
    close('failed', 604800)
    return {0, call()}
  end
  observe('queue_wait_seconds', now - redis.call('HGET', job, 'queued_at'))
  redis.call('HSET', job, 'state', 'downloading', 'started_at', now)
  redis.call('SET', lease, fence, 'PX', lease_ms)
  redis.call('ZREM', prefix .. 'jobs:queued', id)
  redis.call('SET', prefix .. 'jobs:served:' .. requester(id), redis.call('INCR', prefix .. 'jobs:arrivals'), 'EX', 86400)
  announce()
  return {fence, call()}
end

function moves.keep()
  local fence, now, lease_ms, progress = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
  local answer = standing(fence)
  if answer ~= 'kept' then return answer end
  if progress ~= '' then redis.call('HSET', job, 'progress', progress) end
  if state() == 'downloading' and should_give_way(now) then
    give_back(now, true)
    return 'gave_way'
  end
  redis.call('SET', lease, fence, 'PX', lease_ms)
  -- Taken for lost while Redis was away, and not lost after all.
  if redis.call('ZREM', prefix .. 'jobs:queued', id) == 1 then redis.call('HSET', job, 'state', 'downloading') end
  if progress ~= '' then announce() end
  return answer
end

function moves.pack()
  local fence, progress = ARGV[3], ARGV[4]
  local answer = standing(fence)
  if answer == 'kept' then
    redis.call('HSET', job, 'state', 'packing', 'progress', progress)
    announce()
  end
  return answer
end

function moves.stand()
  return standing(ARGV[3])
end

function moves.finish()
  local fence, s, payload, ttl, now = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local answer = standing(fence)
  if answer == 'kept' then
    redis.call('HSET', job, s == 'ready' and 'result' or 'error', payload, 'ended_at', now)
    redis.call('DEL', lease)
    observe('job_seconds', now - redis.call('HGET', job, 'created_at'))
    if s == 'ready' then tally_pages(cjson.decode(payload)) end
    close(s, ttl)
  end
  return answer
end

function moves.drop()
  local fence, now = ARGV[3], ARGV[4]
  if redis.call('GET', lease) ~= fence then return 0 end
  if is_open(state()) then
    give_back(now, false)
    redis.call('HSET', job, 'returning', 1)
    return 1
  end
  redis.call('DEL', lease)
  return 0
end

function moves.requeue()
  local now, limit, error, ttl = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
  if not is_open(state()) or redis.call('EXISTS', lease) == 1 then return 0 end
  count('recoveries|' .. (state() == 'queued' and 'message_lost' or 'worker_lost'), 1)
  if state() ~= 'queued' then
    -- Celery kills a worker that is at a job for so long; nobody else can tell what became of it.
    if now - redis.call('HGET', job, 'started_at') >= tonumber(limit) then
      redis.call('HSET', job, 'error', error, 'ended_at', now)
      close('failed', ttl)
      return 0
    end
    queue(now, false)
    redis.call('HSET', job, 'returning', 1)
    announce()
  end
  return redis.call('HINCRBY', job, 'attempt', 1)
end

function moves.cancel()
  local s = state()
  if not is_open(s) and s ~= 'ready' then return 0 end
  redis.call('HSET', job, 'cancelled_by', ARGV[3])
  redis.call('HSETNX', job, 'ended_at', ARGV[5])
  close('cancelled', ARGV[4])
  return 1
end

function moves.collect()
  if state() ~= 'ready' then return 0 end
  close('collected', ARGV[3])
  return 1
end

function moves.forget()
  redis.call('SREM', prefix .. 'jobs:of:' .. requester(id), id)
  redis.call('DEL', prefix .. 'jobs:served:' .. requester(id))
  redis.call('HSET', job, 'requester', ARGV[3])
  if not is_open(state()) and state() ~= 'ready' then redis.call('EXPIRE', job, ARGV[4]) end
end

function moves.call()
  return call()
end

function moves.lost()
  local ids = {}
  for _, open in ipairs(redis.call('SMEMBERS', prefix .. 'jobs:open')) do
    local waits = redis.call('ZSCORE', prefix .. 'jobs:queued', open)
    if not waits and redis.call('EXISTS', prefix .. 'job:' .. open .. ':lease') == 0 then ids[#ids + 1] = open end
  end
  return ids
end

function moves.census()
  local found = {}
  for _, name in ipairs({'open', 'ready'}) do
    for _, one in ipairs(redis.call('SMEMBERS', prefix .. 'jobs:' .. name)) do
      local record = redis.call('HMGET', prefix .. 'job:' .. one, 'state', 'source')
      if record[1] then
        found[#found + 1] = record[1]
        found[#found + 1] = record[2] or ''
      end
    end
  end
  return found
end

function moves.line()
  local ids = {}
  for place, one in ipairs(line()) do ids[place] = one.id end
  return ids
end

return moves[move]()
