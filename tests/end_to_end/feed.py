"""Followed titles of which the tests make news, as a look at the source would."""

import time
from typing import Any

from redis.asyncio import Redis

from bot.memory.follows import Follow, Follows
from bot.memory.parcels import OUTBOX
from tasks.models import Chapter, Manga
from tasks.titles.store import TO_TELL, TitleStore
from tests.person import PATIENCE

LANTERN = Manga(source="demo", id="lantern", title="The Lantern Keeper's Cat")


def chapter(number: str, **more: Any) -> Chapter:
    """A chapter of LANTERN."""
    fields = {"id": f"lantern-{number}", "number": number, "language": "en", "groups": ("Demo Scans",), **more}
    return Chapter.model_validate(fields)


class Feed:
    """What is new of a title."""

    def __init__(self, redis: Redis, manga: Manga = LANTERN) -> None:
        self.redis = redis
        self.manga = manga
        self.follows = Follows(redis)
        self.titles = TitleStore(redis)

    async def followed_by(self, chat_id: int, **how: Any) -> None:
        """The chat follows the title, which has had no chapters so far."""
        fields = {"manga": self.manga, "chat_id": chat_id, "user_id": chat_id, **how}
        await self.follows.add(Follow.model_validate(fields), ())

    async def brings(self, *chapters: Chapter) -> None:
        """These chapters are new."""
        now = time.time()
        await self.titles.found(self.manga.key, chapters, "", now, now + 3600)

    async def is_new_to(self, chat_id: int) -> None:
        """All there was so far is new to a chat that follows the title only now."""
        await self.redis.hset(f"manhwa:title:{self.manga.key}:told", str(chat_id), "0")
        await self.titles.remind(self.manga.key, str(chat_id))

    async def is_told(self) -> None:
        """Return when nobody is to be told anything any more, and all of it was brought or is waited for."""
        deadline = time.monotonic() + PATIENCE
        while await self.redis.exists(TO_TELL, OUTBOX):
            assert time.monotonic() < deadline, await self.redis.hgetall(OUTBOX)
