"""Who waits for which job, and where: one watcher for each job and chat, with its status message.

Keys
    manhwa:bot:watchers                set of `<job>:<chat>`: every watcher there is
    manhwa:bot:watcher:<job>:<chat>    hash: the fields of `Watcher`
    manhwa:bot:watchers-of:<user>      zset of `<job>:<chat>` by time: what a person waits for
    manhwa:bot:watchers-at:<job>       set of chats that wait for a job
"""

import time
from typing import Any, cast

from aiogram.types import ReplyParameters
from redis.asyncio import Redis

from tasks.models import Value

KEY = "manhwa:bot:watcher"


class Watcher(Value):
    """Someone who waits for a job in a chat.

    `asked_in` is the message that asked for it, `message_id` the status message once it is sent, `shown` a digest of
    what it says, `sent` how many of the job's files went to the chat, `sending` that one more is on its way, or was when
    the bot died.
    """

    job_id: str
    chat_id: int
    thread_id: int | None = None
    asked_in: int | None = None
    user_id: int
    user_name: str = ""
    message_id: int | None = None
    shown: str = ""
    sent: int = 0
    sending: bool = False
    cancelled_by: str = ""

    @property
    def key(self) -> str:
        return f"{self.job_id}:{self.chat_id}"

    @property
    def requester(self) -> str:
        """Whose quota the job counts against."""
        return f"telegram:{self.user_id}"

    @property
    def reply_to_request(self) -> ReplyParameters | None:
        """Makes a message an answer to the request; one that was deleted meanwhile does not matter."""
        if self.asked_in is None:
            return None
        return ReplyParameters(message_id=self.asked_in, allow_sending_without_reply=True)


class Watchers:
    """Keeps watchers over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, watcher: Watcher) -> bool:
        """Note that the chat waits for the job; False if it does already."""
        if not await self._redis.sadd(f"{KEY}s", watcher.key):
            return False
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.hset(f"{KEY}:{watcher.key}", mapping=_fields(watcher))
            pipeline.zadd(f"{KEY}s-of:{watcher.user_id}", {watcher.key: time.time()})
            pipeline.sadd(f"{KEY}s-at:{watcher.job_id}", watcher.chat_id)
            await pipeline.execute()
        return True

    async def get(self, key: str) -> Watcher | None:
        """The watcher of that key, as it is now."""
        fields = cast("dict[str, str]", await self._redis.hgetall(f"{KEY}:{key}"))
        return Watcher.model_validate(fields) if "job_id" in fields else None

    async def all_keys(self) -> set[str]:
        return cast("set[str]", await self._redis.smembers(f"{KEY}s"))

    async def of_user(self, user_id: int) -> list[Watcher]:
        """What the person waits for, newest first."""
        keys = cast("list[str]", await self._redis.zrevrange(f"{KEY}s-of:{user_id}", 0, -1))
        found = [await self.get(key) for key in keys]
        return [watcher for watcher in found if watcher]

    async def at_job(self, job_id: str) -> list[Watcher]:
        """Everyone who waits for the job."""
        chats = cast("set[str]", await self._redis.smembers(f"{KEY}s-at:{job_id}"))
        found = [await self.get(f"{job_id}:{chat}") for chat in sorted(chats)]
        return [watcher for watcher in found if watcher]

    async def update(self, watcher: Watcher, **fields: object) -> Watcher:
        """Write the given fields; the watcher with them. One that was removed meanwhile stays removed."""
        changed = watcher.model_copy(update=fields)
        values = {name: value for name, value in _fields(changed).items() if name in fields}
        if await self._redis.sismember(f"{KEY}s", watcher.key):
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hdel(f"{KEY}:{watcher.key}", *fields)
                if values:
                    pipeline.hset(f"{KEY}:{watcher.key}", mapping=values)
                await pipeline.execute()
        return changed

    async def remove(self, watcher: Watcher) -> int:
        """Nothing more is to be told in this chat; how many other chats still wait for the job."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.srem(f"{KEY}s", watcher.key)
            pipeline.delete(f"{KEY}:{watcher.key}")
            pipeline.zrem(f"{KEY}s-of:{watcher.user_id}", watcher.key)
            pipeline.srem(f"{KEY}s-at:{watcher.job_id}", watcher.chat_id)
            pipeline.scard(f"{KEY}s-at:{watcher.job_id}")
            return int((await pipeline.execute())[-1])


def _fields(watcher: Watcher) -> dict[Any, Any]:
    values = watcher.model_dump(exclude_none=True)
    return {name: int(value) if isinstance(value, bool) else value for name, value in values.items()}
