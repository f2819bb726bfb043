"""Who downloads which chapter now: a chapter is fetched by one job at a time, and the others on that disk wait for it.

Keys
    manhwa:chapter:<disk>:<key>:lease   the job and its fence; expires when its worker stops renewing it
"""

from typing import Any

from redis.asyncio import Redis

from tasks.jobs.store import LEASE_SECONDS, PREFIX, Lease

TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


class ChapterLeases:
    """The chapters that one worker's attempt at a job has on that disk: what comes to another one is of no use here."""

    def __init__(self, redis: Redis, lease: Lease, disk: str) -> None:
        self._disk = disk
        self._take = redis.register_script(TAKE)
        self._renew = redis.register_script(RENEW)
        self._release = redis.register_script(RELEASE)
        self._owner = f"{lease.job_id}:{lease.fence}"
        self._held: set[str] = set()

    async def take(self, key: str) -> bool:
        """Whether the chapter is ours; False = another job is at it."""
        taken = bool(await self._take(keys=[self._name(key)], args=self._arguments))
        if taken:
            self._held.add(key)
        return taken

    async def renew(self) -> None:
        """Keep what is held; to be called as often as the job's own lease is renewed."""
        for key in list(self._held):
            await self._renew(keys=[self._name(key)], args=self._arguments)

    async def release(self, key: str) -> None:
        """Somebody else may have it."""
        self._held.discard(key)
        await self._release(keys=[self._name(key)], args=[self._owner])

    async def release_all(self) -> None:
        for key in list(self._held):
            await self.release(key)

    @property
    def _arguments(self) -> list[Any]:
        return [self._owner, int(LEASE_SECONDS * 1000)]

    def _name(self, key: str) -> str:
        return f"{PREFIX}chapter:{self._disk}:{key}:lease"
