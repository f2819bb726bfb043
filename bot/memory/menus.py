"""The keyboards people have in front of them: search results and chapter pickers, each bound to who opened it.

Keys
    manhwa:bot:menu:<id>             JSON of a `Results` or a `Picker`; gone a month after it was made
    manhwa:bot:menu:<id>:picked      set of places of picked chapters; goes with the menu
    manhwa:bot:menu-at:<chat>:<msg>  id of the picker a message shows, for answers to it
    manhwa:bot:picking:<chat>:<user> id of the picker the person opened last in that chat, for an hour
"""

import secrets
from collections.abc import Iterable
from typing import Annotated, Literal, TypeVar, cast

from pydantic import Field, TypeAdapter
from redis.asyncio import Redis

from tasks.models import Chapter, Manga, MangaDetails, Value

KEY = "manhwa:bot:menu"
KEEP_SECONDS = 30 * 24 * 3600
PICKING_SECONDS = 3600

M = TypeVar("M", "Results", "Picker")


class Menu(Value):
    """Anything with buttons that belongs to the person `owner`."""

    id: str
    owner: int


class Results(Menu):
    """What a search found, best first; `silent` are the names of the sources that gave no answer."""

    kind: Literal["results"] = "results"
    query: str
    mangas: tuple[Manga, ...]
    silent: tuple[str, ...] = ()


class Picker(Menu):
    """A title someone looks at, to pick chapters from. `results` is the menu it was opened from."""

    kind: Literal["picker"] = "picker"
    details: MangaDetails
    results: str | None = None

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        return self.details.chapters


ANY_MENU: TypeAdapter[Results | Picker] = TypeAdapter(Annotated[Results | Picker, Field(discriminator="kind")])


class Menus:
    """Keeps menus over restarts of the bot."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    @staticmethod
    def new_id() -> str:
        """Short enough for a button, and not to be guessed."""
        return secrets.token_urlsafe(9)

    async def save(self, menu: Menu) -> None:
        await self._redis.set(f"{KEY}:{menu.id}", menu.model_dump_json(), ex=KEEP_SECONDS)

    async def get(self, menu_id: str, kind: type[M]) -> M | None:
        """The menu of that id; None if there is none any more, or it is of another kind."""
        text = await self._redis.get(f"{KEY}:{menu_id}")
        menu = ANY_MENU.validate_json(text) if text else None
        return menu if isinstance(menu, kind) else None

    async def toggle(self, menu_id: str, place: int) -> bool:
        """Pick the chapter at that place, or drop it if it is picked; whether it is picked now."""
        key = f"{KEY}:{menu_id}:picked"
        picked = bool(await self._redis.sadd(key, place))
        if not picked:
            await self._redis.srem(key, place)
        await self._redis.expire(key, KEEP_SECONDS)
        return picked

    async def pick(self, menu_id: str, places: Iterable[int]) -> None:
        """Pick exactly these."""
        key, chosen = f"{KEY}:{menu_id}:picked", list(places)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(key)
            if chosen:
                pipeline.sadd(key, *chosen)
                pipeline.expire(key, KEEP_SECONDS)
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
