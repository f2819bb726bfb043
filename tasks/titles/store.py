"""Followed titles in Redis. Every write that decides something is one call of `titles.lua`; keys are told there.

Who follows is only a name here: whoever it is reads what is new from where they are, and moves on.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from redis.asyncio import Redis

from tasks.models import Chapter, Manga
from tasks.titles.title import VERSION, News, Title, as_listed, known_words

log = logging.getLogger(__name__)

PREFIX = "manhwa:"
TO_TELL = f"{PREFIX}titles:to-tell"
NEWS = TypeAdapter(News)


@dataclass(frozen=True)
class Pending:
    """Where a follower stands: `told` news of a title were passed on to it, `news` there are; `items` are those between.

    They are counted from 1; the oldest of very many are forgotten.
    """

    told: int
    news: int
    items: Mapping[int, News]


@dataclass(frozen=True)
class Parcel:
    """What is made of news for a follower: a text, and the hash and field it is put into."""

    outbox: str
    id: str
    text: str


class TitleStore:
    """Reads and moves followed titles, each by the `key` of its `Manga`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._moves = redis.register_script(Path(__file__).with_name("titles.lua").read_text())

    async def _move(self, *arguments: str | float) -> Any:
        # What each move answers stands in its line in titles.lua.
        return await self._moves(keys=[PREFIX], args=list(arguments))

    async def follow(self, manga: Manga, follower: str, chapters: Sequence[Chapter] | None = None) -> bool:
        """See to it that the title is looked at for that follower; False if it is already.

        `chapters` are no news to the first one who follows; None = the first look finds out what is there.
        """
        known = "" if chapters is None else json.dumps(known_words(chapters))
        about = (VERSION, manga.source, manga.model_dump_json(), time.time(), known)
        return bool(await self._move("follow", manga.key, follower, *about))

    async def unfollow(self, key: str, follower: str) -> None:
        """The follower wants nothing more of it; where nobody else does, it is looked at no more."""
        await self._move("unfollow", key, follower)

    async def hand_on(self, key: str, follower: str, other: str) -> None:
        """The other one follows in the place of this one."""
        await self._move("hand_on", key, follower, other)

    async def read(self, key: str) -> Title | None:
        """The title's record; None if nobody follows it, or another release does that this one can't read."""
        fields = cast("dict[str, str]", await self._redis.hgetall(f"{PREFIX}title:{key}"))
        if not fields:
            return None
        try:
            return Title.model_validate({**fields, "manga": json.loads(fields["manga"])})
        except (KeyError, ValueError) as error:
            log.warning("a followed title can't be read: %s", type(error).__name__)
            return None

    async def take(self, source: str, now: float, until: float, most: int, soon: float) -> list[str]:
        """Keys of titles of that source that nobody else looks at before `until`: those due by `soon`, once one is now."""
        return cast("list[str]", await self._move("take", source, now, until, most, soon))

    async def count(self, source: str) -> int:
        """How many titles of that source are followed."""
        return int(await self._redis.zcard(f"{PREFIX}titles:of:{source}"))

    async def found(self, key: str, chapters: Sequence[Chapter], mark: str, now: float, due: float) -> int:
        """These are all its chapters now; how many of them are news, -1 if nobody follows it any more."""
        known = cast("set[str]", await self._redis.smembers(f"{PREFIX}title:{key}:known"))
        return int(await self._move("found", key, now, due, mark, as_listed(chapters, now, known)))

    async def same(self, key: str, now: float, due: float) -> None:
        """Nothing has changed since the last look."""
        await self._move("same", key, now, due)

    async def failed(self, key: str, now: float, due: float, trouble: str, *, counts: bool = True) -> None:
        """The look did not go well; `trouble` is the code of the error. It does not count where the source is to blame."""
        await self._move("failed", key, now, due, trouble, int(counts))

    async def looks(self) -> dict[str, int]:
        """What looks at titles came to so far: `<source>|changed`, `|same` or `|failed`."""
        counted = cast("dict[str, str]", await self._redis.hgetall(f"{PREFIX}titles:looks"))
        return {what: int(number) for what, number in counted.items()}

    async def to_tell(self, now: float, most: int) -> list[tuple[str, str]]:
        """Titles and followers that there may be something to tell to now, who waits longest first."""
        found = cast("list[str]", await self._redis.zrange(TO_TELL, "-inf", now, byscore=True, offset=0, num=most))
        return [(key, follower) for key, _, follower in (one.partition(":") for one in found)]

    async def pending(self, key: str, follower: str) -> Pending | None:
        """What was not passed on yet; None if the follower does not follow the title."""
        answer = await self._move("pending", key, follower)
        if not answer:
            return None
        told, news, *texts = answer
        read = {number: _news(text) for number, text in enumerate(texts, start=int(news) - len(texts) + 1)}
        return Pending(int(told), int(news), {number: one for number, one in read.items() if one})

    async def advance(self, key: str, follower: str, told: int, to: int, parcel: Parcel | None = None) -> bool:
        """Pass on the news up to the `to`th, at once with putting the parcel where it belongs; None = nothing is to be told.

        False if the follower does not stand at `told` any more: another process was faster, and nothing is done.
        """
        put = (parcel.outbox, parcel.id, parcel.text) if parcel else ("", "", "")
        return bool(await self._move("advance", key, follower, told, to, *put))

    async def put_off(self, key: str, follower: str, at: float | None) -> None:
        """The follower is told nothing before that time; None = before it is reminded."""
        await self._move("put_off", key, follower, "" if at is None else at)

    async def remind(self, key: str, follower: str) -> None:
        """The follower may be told now what it was not."""
        await self._move("remind", key, follower, time.time())


def _news(text: str) -> News | None:
    try:
        return NEWS.validate_json(text)
    except ValidationError:
        log.warning("news of a title can't be read")
        return None
