"""Which of a job's files is on its way to Telegram, so that nobody else uploads it meanwhile.

Keys
    manhwa:bot:upload:<job>:<number>    a word of who uploads it; gone `LEASE_SECONDS` after it was last renewed
"""

from redis.asyncio import Redis

KEY = "manhwa:bot:upload"
LEASE_SECONDS = 5.0
RENEW = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0"
LEAVE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"


class Uploads:
    """Gives each file to one uploader at a time, who is known by a `word` of its own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._renew = redis.register_script(RENEW)
        self._leave = redis.register_script(LEAVE)

    async def take(self, file: str, word: str) -> bool:
        """Whether it is the caller's now."""
        return bool(await self._redis.set(f"{KEY}:{file}", word, nx=True, px=int(LEASE_SECONDS * 1000)))

    async def renew(self, file: str, word: str) -> bool:
        """Keep it; False if it is somebody else's by now."""
        return bool(await self._renew(keys=[f"{KEY}:{file}"], args=[word, int(LEASE_SECONDS * 1000)]))

    async def leave(self, file: str, word: str) -> None:
        """The next one may have it."""
        await self._leave(keys=[f"{KEY}:{file}"], args=[word])
