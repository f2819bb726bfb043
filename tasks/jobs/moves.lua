--[[ Every write that decides something about a job, each one atomic.

Keys (KEYS[1] is the prefix, "manhwa:"; one Redis, no cluster, so the script may name the keys it touches)
  job:<id>          hash    the record, see job.py: state, request, requester, key, attempt, fence, created_at, started_at,
                            ended_at, tries, progress, result, error, cancelled_by. Expires only after the job has ended.
  job:<id>:lease    string  the fence of the worker that has the job; expires when that worker stops renewing it
  jobs:open         set     ids of jobs that a worker still has to finish (queued, downloading, packing)
  jobs:queued       zset    ids of queued jobs by arrival: the place in line
  jobs:arrivals     int     counter behind the scores of jobs:queued
  jobs:key:<key>    string  id of the job that answers to this request key; gone once a new job has to be made for it
  jobs:of:<person>  set     ids of the open jobs this person started: the quota
  jobs:events       stream  {job: id}: something about this job changed, look at the record. A hint; trimmed

Calls (ARGV[1] is the move; times are Unix seconds as text)
  create id key requester request now max_active -> {"created"|"joined", id} | {"too_many"}
  take   id now lease_ms max_attempts            -> fence > 0 | 0 ended or gave up | -1 somebody has the lease
  keep   id fence lease_ms progress|""           -> "kept" | "lost" | "cancelled"
  pack   id fence progress                       -> "kept" | "lost" | "cancelled"
  finish id fence state payload ttl now          -> "kept" | "lost" | "cancelled"   state: ready (payload = result)
                                                                                    or failed (payload = error)
  drop   id fence                                -> 1 | 0      gives the lease back; the job is queued again
  requeue id                                     -> attempt > 0 | 0   open, no lease: queued again for another attempt
  cancel id by ttl                               -> 1 cancelled | 0 it had ended before
  collect id ttl                                 -> 1 | 0      ready files were delivered or given up: they may go
]]

local prefix, move, id = KEYS[1], ARGV[1], ARGV[2]
local job = prefix .. 'job:' .. (id or '')
local lease = job .. ':lease'

local function announce()
  redis.call('XADD', prefix .. 'jobs:events', 'MAXLEN', '~', 10000, '*', 'job', id)
end

local function state()
  return redis.call('HGET', job, 'state')
end

local function is_open(s)
  return s == 'queued' or s == 'downloading' or s == 'packing'
end

local function forget_key()
  local key = prefix .. 'jobs:key:' .. (redis.call('HGET', job, 'key') or '')
  if redis.call('GET', key) == id then redis.call('DEL', key) end
end

local function queue()
  redis.call('ZADD', prefix .. 'jobs:queued', redis.call('INCR', prefix .. 'jobs:arrivals'), id)
end

local function close(s, ttl)
  redis.call('HSET', job, 'state', s)
  redis.call('SREM', prefix .. 'jobs:open', id)
  redis.call('ZREM', prefix .. 'jobs:queued', id)
  redis.call('SREM', prefix .. 'jobs:of:' .. redis.call('HGET', job, 'requester'), id)
  redis.call('EXPIRE', job, ttl)
  if s ~= 'ready' then forget_key() end
  announce()
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
  local key, requester, request, now, max_active = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
  local existing = redis.call('GET', prefix .. 'jobs:key:' .. key)
  if existing and redis.call('EXISTS', prefix .. 'job:' .. existing) == 1 then return {'joined', existing} end
  local own = prefix .. 'jobs:of:' .. requester
  if redis.call('SCARD', own) >= max_active then return {'too_many'} end
  redis.call('HSET', job, 'state', 'queued', 'request', request, 'requester', requester, 'key', key,
    'attempt', 1, 'fence', 0, 'created_at', now)
  redis.call('SET', prefix .. 'jobs:key:' .. key, id)
  redis.call('SADD', prefix .. 'jobs:open', id)
  redis.call('SADD', own, id)
  queue()
  announce()
  return {'created', id}
end

function moves.take()
  local now, lease_ms, max_attempts = ARGV[3], ARGV[4], tonumber(ARGV[5])
  if not is_open(state()) then return 0 end
  if redis.call('EXISTS', lease) == 1 then return -1 end
  local fence = redis.call('HINCRBY', job, 'fence', 1)
  if redis.call('HINCRBY', job, 'tries', 1) > max_attempts then
    redis.call('HSET', job, 'error', '{"code":"gave_up","detail":{"attempts":' .. max_attempts .. '}}')
    close('failed', 604800)
    return 0
  end
  redis.call('HSET', job, 'state', 'downloading', 'started_at', now)
  redis.call('SET', lease, fence, 'PX', lease_ms)
  redis.call('ZREM', prefix .. 'jobs:queued', id)
  announce()
  return fence
end

function moves.keep()
  local fence, lease_ms, progress = ARGV[3], ARGV[4], ARGV[5]
  local answer = standing(fence)
  if answer ~= 'kept' then return answer end
  redis.call('SET', lease, fence, 'PX', lease_ms)
  if progress ~= '' then
    redis.call('HSET', job, 'progress', progress)
    announce()
  end
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

function moves.finish()
  local fence, s, payload, ttl, now = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
  local answer = standing(fence)
  if answer == 'kept' then
    redis.call('HSET', job, s == 'ready' and 'result' or 'error', payload, 'ended_at', now)
    redis.call('DEL', lease)
    close(s, ttl)
  end
  return answer
end

function moves.drop()
  if redis.call('GET', lease) ~= ARGV[3] then return 0 end
  redis.call('DEL', lease)
  if not is_open(state()) then return 0 end
  -- Stopping in good order is not the job's fault: only lost workers count against it.
  redis.call('HINCRBY', job, 'tries', -1)
  redis.call('HSET', job, 'state', 'queued')
  queue()
  announce()
  return 1
end

function moves.requeue()
  if not is_open(state()) or redis.call('EXISTS', lease) == 1 then return 0 end
  if state() ~= 'queued' then
    redis.call('HSET', job, 'state', 'queued')
    queue()
    announce()
  end
  return redis.call('HINCRBY', job, 'attempt', 1)
end

function moves.cancel()
  local s = state()
  if not is_open(s) and s ~= 'ready' then return 0 end
  redis.call('HSET', job, 'cancelled_by', ARGV[3])
  close('cancelled', ARGV[4])
  return 1
end

function moves.collect()
  if state() ~= 'ready' then return 0 end
  close('collected', ARGV[3])
  return 1
end

return moves[move]()
