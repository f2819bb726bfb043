"""The keyboards people have in front of them: search results and chapter pickers, each bound to who opened it.

Keys
    manhwa:bot:menu:<id>             JSON of a `Results` or a `Picker`; gone a month after it was made
    manhwa:bot:menus-of:<user>       set of ids of the person's menus; goes a month after the last one
    manhwa:bot:menu:<id>:picked      set of places of picked chapters; goes with the menu
    manhwa:bot:menu:<id>:range       while a range is picked: `first`, then the place of its first chapter; for an hour
    manhwa:bot:menu:<id>:left        there while the message of results shows one of the titles instead
    manhwa:bot:menu-at:<chat>:<msg>  id of the picker a message shows, for answers to it
    manhwa:bot:picking:<chat>:<user> id of the picker the person opened last in that chat, for an hour
"""

import secrets
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Literal, TypeVar, cast

from pydantic import Field, TypeAdapter
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from bot.destination import Destination
from bot.editions import offered
from bot.memory.once import ONCE, handling
from bot.memory.reading import remembered
from tasks.models import Chapter, Manga, MangaDetails, Value

KEY = "manhwa:bot:menu"
KEEP_SECONDS = 30 * 24 * 3600
PICKING_SECONDS = 3600
FIRST = "first"
PRESS = f"""{ONCE}
if made_before(ARGV[4]) then return end
local begun = redis.call('GET', KEYS[1])
if begun == '{FIRST}' then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
elseif begun then
  redis.call('DEL', KEYS[1])
  local one, other = tonumber(begun), tonumber(ARGV[1])
  for place = math.min(one, other), math.max(one, other) do redis.call('SADD', KEYS[2], place) end
elseif redis.call('SREM', KEYS[2], ARGV[1]) == 0 then
  redis.call('SADD', KEYS[2], ARGV[1])
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
"""
BEGIN_RANGE = f"""{ONCE}
if made_before(ARGV[2]) then return end
if not redis.call('SET', KEYS[1], '{FIRST}', 'EX', ARGV[1], 'NX') then redis.call('DEL', KEYS[1]) end
"""

M = TypeVar("M", "Results", "Picker")


class Menu(Value):
    """Anything with buttons that belongs to the person `owner`."""

    id: str
    owner: int


class Results(Menu):
    """What a search found, in the order it came in.

    `silent` are the names of the sources that gave no answer, `refused` of those that do not take our login, `answered` of
    those that did answer, and `asked` of those that may.
    """

    kind: Literal["results"] = "results"
    query: str
    mangas: tuple[Manga, ...]
    silent: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    """Names of the sources whose titles come first."""
    hidden: int = 0
    """Titles that this chat does not allow."""

    @property
    def places(self) -> list[int]:
        """Places in `mangas` as they are shown."""
        last = len(self.order)
        ranks = {name: rank for rank, name in enumerate(self.order)}
        return sorted(range(len(self.mangas)), key=lambda place: ranks.get(self.mangas[place].source, last))


class Picker(Menu):
    """A title someone looks at, to pick chapters from.

    `results` is the menu it was opened from. Offered are chapters in `language`, where the title has none in the language
    `instead_of`, and of `group` where it did them. `destination` is where they go, if not to the chat of the picker.
    """

    kind: Literal["picker"] = "picker"
    details: MangaDetails
    results: str | None = None
    language: str | None = None
    instead_of: str | None = None
    group: str | None = None
    destination: Destination | None = None
    destination_name: str = ""
    is_whole: bool = True
    """False where only some chapters were looked up, and the title is guessed from them."""

    @cached_property
    def chapters(self) -> tuple[Chapter, ...]:
        """What is offered, one chapter for each number."""
        return offered(self.details.chapters, self.language, self.group)

    def available(self, places: Iterable[int]) -> set[int]:
        """Those of the places where there is a chapter that can be had."""
        return {place for place in places if 0 <= place < len(self.chapters) and self.chapters[place].available}


ANY_MENU: TypeAdapter[Results | Picker] = TypeAdapter(Annotated[Results | Picker, Field(discriminator="kind")])


class Menus:
    """Keeps menus over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._press = redis.register_script(PRESS)
        self._begin_range = redis.register_script(BEGIN_RANGE)

    @staticmethod
    def new_id() -> str:
        """Short enough for a button, and not to be guessed."""
        return secrets.token_urlsafe(9)

    async def save(self, menu: Menu, picked: Iterable[int] | None = None) -> None:
        """Keep the menu as it is now, and with `picked` what is picked in it."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            if picked is not None:
                _pick(pipeline, menu.id, picked)
            pipeline.set(f"{KEY}:{menu.id}", menu.model_dump_json(), ex=KEEP_SECONDS)
            pipeline.sadd(f"{KEY}s-of:{menu.owner}", menu.id)
            pipeline.expire(f"{KEY}s-of:{menu.owner}", KEEP_SECONDS)
            await pipeline.execute()

    async def forget(self, user_id: int) -> None:
        """Remove every menu of the person."""
        ids = cast("set[str]", await self._redis.smembers(f"{KEY}s-of:{user_id}"))
        keys = [f"{KEY}:{menu_id}{what}" for menu_id in ids for what in ("", ":picked", ":range", ":left")]
        keys += [key async for key in self._redis.scan_iter(f"manhwa:bot:picking:*:{user_id}", count=1000)]
        await self._redis.delete(f"{KEY}s-of:{user_id}", *keys)

    async def get(self, menu_id: str, kind: type[M]) -> M | None:
        """The menu of that id; None if there is none any more, or it is of another kind."""
        text = cast("str | None", await self._redis.get(f"{KEY}:{menu_id}"))
        menu = remembered(ANY_MENU, text)
        return menu if isinstance(menu, kind) else None

    async def leave(self, menu_id: str) -> None:
        """Its message shows something else now."""
        await self._redis.set(f"{KEY}:{menu_id}:left", "1", ex=KEEP_SECONDS)

    async def come_back(self, menu_id: str) -> None:
        """Its message shows it again."""
        await self._redis.delete(f"{KEY}:{menu_id}:left")

    async def is_left(self, menu_id: str) -> bool:
        """Whether its message shows something else."""
        return bool(await self._redis.exists(f"{KEY}:{menu_id}:left"))

    async def press(self, menu_id: str, place: int) -> None:
        """Pick the chapter at that place, or drop it if it is picked; where a range is picked, it is one of its ends.

        The last end picks all of the range.
        """
        keys = [f"{KEY}:{menu_id}:range", f"{KEY}:{menu_id}:picked"]
        await self._press(keys=keys, args=[place, PICKING_SECONDS, KEEP_SECONDS, handling.get()])

    async def begin_range(self, menu_id: str) -> None:
        """The next two chapters are the ends of a range; called again, they are not."""
        await self._begin_range(keys=[f"{KEY}:{menu_id}:range"], args=[PICKING_SECONDS, handling.get()])

    async def range_begun(self, menu_id: str) -> Literal["no", "first"] | int:
        """Whether a range is picked: waits for its first chapter, or the place of that one."""
        found = cast("str | None", await self._redis.get(f"{KEY}:{menu_id}:range"))
        if found is None:
            return "no"
        return "first" if found == FIRST else int(found)

    async def pick(self, menu_id: str, places: Iterable[int]) -> None:
        """Pick exactly these."""
        async with self._redis.pipeline(transaction=True) as pipeline:
            _pick(pipeline, menu_id, places)
            await pipeline.execute()

    async def picked(self, menu_id: str) -> set[int]:
        """Places of the picked chapters."""
        members = cast("set[str]", await self._redis.smembers(f"{KEY}:{menu_id}:picked"))
        return {int(place) for place in members}

    async def opened(self, picker: Picker, chat_id: int, message_id: int) -> None:
        """The picker is shown in that message: an answer to it, or the owner's next text in private, picks chapters."""
        await self._redis.set(f"{KEY}-at:{chat_id}:{message_id}", picker.id, ex=KEEP_SECONDS)
        await self._redis.set(f"manhwa:bot:picking:{chat_id}:{picker.owner}", picker.id, ex=PICKING_SECONDS)

    async def picker_at(self, chat_id: int, message_id: int) -> str | None:
        """Id of the picker which that message shows."""
        return cast("str | None", await self._redis.get(f"{KEY}-at:{chat_id}:{message_id}"))

    async def picker_of(self, chat_id: int, user_id: int) -> str | None:
        """Id of the picker the person opened last in that chat, within the hour."""
        return cast("str | None", await self._redis.get(f"manhwa:bot:picking:{chat_id}:{user_id}"))


def _pick(pipeline: Pipeline, menu_id: str, places: Iterable[int]) -> None:
    key, chosen = f"{KEY}:{menu_id}:picked", list(places)
    pipeline.delete(key)
    if chosen:
        pipeline.sadd(key, *chosen)
        pipeline.expire(key, KEEP_SECONDS)
