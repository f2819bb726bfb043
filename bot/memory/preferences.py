"""What people, and groups by their admins, have chosen in `/settings` and in pickers.

Keys
    manhwa:bot:preferences:<id>    hash: the fields of `Preferences` that were chosen, as JSON; of a person or a group
"""

import json
from typing import Any, Self, cast

from redis.asyncio import Redis

from bot.memory.reading import fields_remembered
from tasks.models import ArchiveFormat, Quality, Rating, SplitField, Value

KEY = "manhwa:bot:preferences"
MOST_GROUPS = 20


class Preferences(Value):
    """What was chosen; None and nothing = it was not.

    `width` are pixels of smaller pages; with `sliced` long strips are cut. `sources` are names in the order in which their
    titles are shown, `groups` scanlation groups, the latest chosen first, and `rating` is the highest one that a group
    allows.
    """

    language: str | None = None
    format: ArchiveFormat | None = None
    split: SplitField | None = None
    quality: Quality | None = None
    width: int | None = None
    sliced: bool | None = None
    chapter_language: str | None = None
    sources: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    rating: Rating | None = None

    def over(self, other: Self) -> Self:
        """These, and those of `other` where nothing was chosen here."""
        return other.model_copy(update={name: value for name, value in self if value not in {None, ()}})

    def allows(self, rating: Rating | None) -> bool:
        """Whether a title of that rating may be shown; one that nobody rated may."""
        order = list(Rating)
        return self.rating is None or rating is None or order.index(rating) <= order.index(self.rating)


class Chosen:
    """Keeps preferences over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, whose: int) -> Preferences:
        """What the person, or group of that id, has chosen."""
        fields = cast("dict[str, str]", await self._redis.hgetall(f"{KEY}:{whose}"))
        return fields_remembered(Preferences, {name: json.loads(value) for name, value in fields.items()})

    async def choose(self, whose: int, **fields: Any) -> None:
        """Note what was chosen; None takes it back. Two at once each note their own."""
        chosen = Preferences.model_validate(fields).model_dump(mode="json", include=set(fields))
        async with self._redis.pipeline(transaction=True) as pipeline:
            for name, value in chosen.items():
                if value is None:
                    pipeline.hdel(f"{KEY}:{whose}", name)
                else:
                    pipeline.hset(f"{KEY}:{whose}", name, json.dumps(value))
            await pipeline.execute()

    async def prefer_group(self, whose: int, group: str) -> None:
        """Put the scanlation group before all others the person chose."""
        before = (await self.of(whose)).groups
        await self.choose(whose, groups=(group, *(one for one in before if one != group))[:MOST_GROUPS])

    async def forget(self, whose: int) -> None:
        await self._redis.delete(f"{KEY}:{whose}")
