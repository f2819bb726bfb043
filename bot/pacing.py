"""How often we may speak to a chat: one budget in Redis for all processes of the bot.

Telegram counts sends and edits of a chat together: about one a second, in a group about twenty a minute, and about thirty
a second over all chats. Answers to presses cost nothing. Who goes over is shut out for up to hours, so we stay below.

Keys: those of the `limits` library below manhwa:bot:pace; manhwa:bot:spoke:<chat> for a moment after each message; and
manhwa:bot:shut:<chat> while Telegram wants silence there.
"""

import asyncio
import time

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from redis.asyncio import Redis

from tasks.budget import shared_limiter, take

SPACING_MS = 1100
"""Between two messages of a chat: a second, and what the network may take off it."""
PER_GROUP = RateLimitItemPerMinute(18, namespace="group")
IN_ALL = RateLimitItemPerSecond(20, namespace="all")
PROGRESS_IN_PRIVATE = RateLimitItemPerSecond(1, 3, namespace="progress-private")
PROGRESS_IN_GROUP = RateLimitItemPerMinute(9, namespace="progress-group")
PROGRESS_IN_ALL = RateLimitItemPerSecond(15, namespace="progress-all")
"""Progress may take no more than half of a group's budget, and not all of everybody's: the rest is for answers, results and
files."""
REFUSED_SECONDS = 1.0
"""After which progress is tried again in a chat that had no budget for it."""
MOST_REMEMBERED = 1000

ASKED = RateLimitItemPerMinute(30, namespace="asked")
"""Messages one person may send us: far more than anybody types."""
TOLD = RateLimitItemPerMinute(1, namespace="told")


class Pacing:
    """Asked before anything is said. Groups are told by their negative ids."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._limiter = shared_limiter(redis, "manhwa:bot:pace")
        self._progress_at: dict[int, float] = {}
        """When it is worth while to try progress in a chat next; only what this process knows."""

    async def slot(self, chat_id: int) -> None:
        """Return when one message or edit may go to the chat; it counts as spent."""
        while (wait := await self._shut_for(chat_id)) > 0:  # noqa: ASYNC110 - silence ends at a time, not by an event
            await asyncio.sleep(wait)
        if chat_id < 0:
            await take(self._limiter, PER_GROUP, str(chat_id))
        spoke = f"manhwa:bot:spoke:{chat_id}"
        while not await self._redis.set(spoke, "1", nx=True, px=SPACING_MS):  # noqa: ASYNC110 - the end is a time
            await asyncio.sleep(max(1, int(await self._redis.pttl(spoke))) / 1000)
        await take(self._limiter, IN_ALL, "0")

    async def until_open(self, chat_id: int) -> None:
        """Return when a message to the chat would not wait long for its slot; nothing is spent.

        For those who would hold up others while they wait.
        """
        while (wait := await self.closed_for(chat_id)) > 0:  # noqa: ASYNC110 - the end is a time
            await asyncio.sleep(wait)

    async def closed_for(self, chat_id: int) -> float:
        """Seconds that a message to the chat would wait, beyond a moment; nothing is spent."""
        shut = await self._shut_for(chat_id)
        if shut or chat_id > 0 or await self._limiter.test(PER_GROUP, str(chat_id)):
            return shut
        stats = await self._limiter.get_window_stats(PER_GROUP, str(chat_id))
        return max(REFUSED_SECONDS, stats.reset_time - time.time())

    async def arrived(self, chat_id: int) -> None:
        """Something that was long on its way came to the chat just now: Telegram counts it now, not when it had its slot.

        It came between two others, so that the next one waits for both.
        """
        await self._redis.set(f"manhwa:bot:spoke:{chat_id}", "1", px=2 * SPACING_MS)
        if chat_id < 0:
            await self._limiter.hit(PER_GROUP, str(chat_id))
        await self._limiter.hit(IN_ALL, "0")

    async def came(self, chat_id: int) -> None:
        """What had its slot came to the chat just now, maybe a while after that: the next one keeps its distance from it."""
        await self._redis.set(f"manhwa:bot:spoke:{chat_id}", "1", px=SPACING_MS)

    def claim_progress(self, chat_id: int) -> float:
        """Seconds until it is worth while to look for progress to show in the chat, without asking anybody.

        0 = now: who asked is to look and to `try_progress`, and nobody else for a moment.
        """
        now = time.monotonic()
        wait = self._progress_at.get(chat_id, 0.0) - now
        if wait > 0:
            return wait
        self._note_progress(chat_id, now + REFUSED_SECONDS)
        return 0.0

    async def try_progress(self, chat_id: int) -> bool:
        """Whether a progress edit may go to the chat at once, without holding up anything that matters more."""
        item = PROGRESS_IN_GROUP if chat_id < 0 else PROGRESS_IN_PRIVATE
        refused = await self._refused_for(chat_id, item)
        self._note_progress(chat_id, time.monotonic() + (refused or item.get_expiry() / item.amount))
        return not refused

    async def _refused_for(self, chat_id: int, item: RateLimitItem) -> float:
        """Seconds after which progress is to be tried again; 0 = it may go, and counts as spent."""
        spoke = f"manhwa:bot:spoke:{chat_id}"
        left = max(await self._redis.pttl(spoke), await self._redis.pttl(f"manhwa:bot:shut:{chat_id}"))
        if left > 0:
            return left / 1000
        may = (
            (chat_id > 0 or await self._limiter.test(PER_GROUP, str(chat_id)))
            and await self._limiter.test(item, str(chat_id))
            and await self._limiter.test(IN_ALL, "0")
            and await self._limiter.hit(PROGRESS_IN_ALL, "0")
            and await self._limiter.hit(item, str(chat_id))
            and await self._redis.set(spoke, "1", nx=True, px=SPACING_MS)
        )
        if not may:
            return REFUSED_SECONDS
        if await self._limiter.hit(IN_ALL, "0") and (chat_id > 0 or await self._limiter.hit(PER_GROUP, str(chat_id))):
            return 0.0
        await self._redis.delete(spoke)  # another process was faster, and nothing is said
        return REFUSED_SECONDS

    def _note_progress(self, chat_id: int, at: float) -> None:
        self._progress_at.pop(chat_id, None)
        self._progress_at[chat_id] = at
        if len(self._progress_at) > MOST_REMEMBERED:
            del self._progress_at[next(iter(self._progress_at))]

    async def may_ask(self, user_id: int) -> bool:
        """Whether one more message of the person is heard; it counts."""
        return await self._limiter.hit(ASKED, str(user_id))

    async def may_be_told(self, user_id: int) -> bool:
        """Whether the person is told that they were not heard: once a minute."""
        return await self._limiter.hit(TOLD, str(user_id))

    async def shut(self, chat_id: int, seconds: float) -> None:
        """Telegram asked for silence in the chat for so long."""
        await self._redis.set(f"manhwa:bot:shut:{chat_id}", "1", px=max(1, int(seconds * 1000)))

    async def _shut_for(self, chat_id: int) -> float:
        left = int(await self._redis.pttl(f"manhwa:bot:shut:{chat_id}"))
        return left / 1000 if left > 0 else 0.0
