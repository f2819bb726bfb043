"""Who fetches which file over HTTP, what they have of it, and the words of links that need no token.

Keys
    manhwa:bot:link:<token>      `<job>:<number>`: the file that a link means; gone after `LINK_SECONDS`
    manhwa:bot:fetching:<job>    zset: each fetch that goes on -> until when it counts as going on, by Redis's clock
    manhwa:bot:fetched:<job>     zset: `<start>-<end>` of what was sent whole, by start; a fetch may take several requests
    manhwa:bot:asks:<job>        hash: how often programs `asked` for the job, and how often all of it was `fetched`
"""

import secrets
from typing import cast

from redis.asyncio import Redis

KEY = "manhwa:bot"
LINK_SECONDS = 24 * 3600
FETCH_SECONDS = 15
"""A fetch that was not renewed for so long is over: its process died."""
KEEP_SECONDS = 2 * 24 * 3600
BEGIN = """
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
"""
GOING_ON = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1])
return redis.call('ZCARD', KEYS[1])
"""

NOTE = """
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[1] .. '-' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
local reached = 0
for _, piece in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local first, behind = string.match(piece, '(%d+)-(%d+)')
  if tonumber(first) > reached then break end
  reached = math.max(reached, tonumber(behind))
end
if reached < tonumber(ARGV[3]) then return end
redis.call('DEL', KEYS[1])
redis.call('HINCRBY', KEYS[2], 'fetched', 1)
redis.call('EXPIRE', KEYS[2], ARGV[4])
"""


class Fetches:
    """Keeps fetches and links."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._begin = redis.register_script(BEGIN)
        self._going_on = redis.register_script(GOING_ON)
        self._note = redis.register_script(NOTE)

    async def new_link(self, job_id: str, number: int) -> str:
        """A word for the job's file of that number, for `LINK_SECONDS`."""
        token = secrets.token_urlsafe(24)
        await self._redis.set(f"{KEY}:link:{token}", f"{job_id}:{number}", ex=LINK_SECONDS)
        return token

    async def linked(self, token: str) -> tuple[str, int] | None:
        """The job and the number of the file that the word stands for."""
        found = cast("str | None", await self._redis.get(f"{KEY}:link:{token}"))
        if found is None:
            return None
        job_id, _, number = found.rpartition(":")
        return job_id, int(number)

    async def go_on(self, job_id: str, fetch: str) -> None:
        """The fetch of that name begins or goes on; to be told again within `FETCH_SECONDS`."""
        await self._begin(keys=[self.key_of(job_id)], args=[fetch, FETCH_SECONDS, KEEP_SECONDS])

    async def end(self, job_id: str, fetch: str) -> None:
        await self._redis.zrem(self.key_of(job_id), fetch)

    @staticmethod
    def key_of(job_id: str) -> str:
        """The key of those who fetch files of the job, for scripts that do something only while nobody does."""
        return f"{KEY}:fetching:{job_id}"

    async def going_on(self, job_id: str) -> bool:
        """Whether somebody fetches a file of the job right now."""
        return bool(await self._going_on(keys=[self.key_of(job_id)]))

    async def note(self, job_id: str, start: int, end: int, size: int) -> None:
        """The bytes from `start` up to `end`, without that one, were sent of all `size`.

        What was sent in pieces counts as soon as they are the whole; what is sent from then on is the next time's.
        """
        keys = [f"{KEY}:fetched:{job_id}", f"{KEY}:asks:{job_id}"]
        await self._note(keys=keys, args=[start, end, size, KEEP_SECONDS])

    async def asked(self, job_id: str) -> None:
        """A program asked for the job; another one that asks for the same means to fetch it as well."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hincrby(f"{KEY}:asks:{job_id}", "asked", 1)
            pipeline.expire(f"{KEY}:asks:{job_id}", KEEP_SECONDS)
            await pipeline.execute()

    async def times(self, job_id: str) -> tuple[int, int]:
        """How often all of the job was fetched by now, and how often it was asked for."""
        fetched, asked = cast("list[str | None]", await self._redis.hmget(f"{KEY}:asks:{job_id}", "fetched", "asked"))
        return int(fetched or 0), int(asked or 0)
