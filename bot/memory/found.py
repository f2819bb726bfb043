"""What sources found a moment ago: the same search within minutes asks nobody.

Keys
    manhwa:bot:found:<digest>    JSON of the mangas that a source found for a query; gone after `KEEP_SECONDS`
"""

import hashlib
from typing import cast

from pydantic import TypeAdapter
from redis.asyncio import Redis

from bot.memory.reading import remembered
from tasks.models import Manga

KEEP_SECONDS = 600
"""Long enough for people in a group who look for the same, short enough for what is new."""
MANGAS = TypeAdapter(tuple[Manga, ...])


class Found:
    """Keeps answers; errors are never among them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def get(self, source: str, query: str) -> tuple[Manga, ...] | None:
        """What the source found; None if it was not asked lately."""
        text = cast("str | None", await self._redis.get(_key(source, query)))
        return remembered(MANGAS, text)

    async def keep(self, source: str, query: str, mangas: tuple[Manga, ...]) -> None:
        await self._redis.set(_key(source, query), MANGAS.dump_json(mangas), ex=KEEP_SECONDS)


def _key(source: str, query: str) -> str:
    digest = hashlib.sha256(f"{source}\0{query.casefold()}".encode()).hexdigest()[:32]
    return f"manhwa:bot:found:{digest}"
