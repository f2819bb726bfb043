"""What the chat page, and tests that act as people, call: `/chat/…` in JSON."""

import uuid
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from aiogram.types import CallbackQuery, Chat, Document, InlineQuery, Message, MessageEntity, User
from aiohttp import web
from pydantic import BaseModel, ValidationError

from bot.local.telegram.errors import ApiError, bad_request
from bot.local.telegram.faults import Fault, Faults
from bot.local.telegram.files import Files
from bot.local.telegram.limits import RateRules
from bot.local.telegram.methods import Methods
from bot.local.telegram.world import ANONYMOUS, BOT, CHANNEL, GROUP, GROUP_CREATOR, PEOPLE, TOPICS, World, dump

PAGE = Path(__file__).parent.parent / "chat"
LONGEST_WAIT = 25.0
NO_SNIFF = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' https: data:",
}


class Saying(BaseModel):
    """A person sends a text; `chat` is the group's id, or None for the private chat with the bot."""

    person: int
    chat: int | None = None
    text: str
    thread: int | None = None
    reply_to: int | None = None
    anonymous: bool = False
    """In the name of the group, as its admins can."""
    language: str | None = None
    """The language of the person's app; None = what is usual for them."""
    twice: bool = False
    """Deliver the update a second time, as Telegram does when it is not sure of the first."""


class Pressing(BaseModel):
    """A person presses a button of a message."""

    person: int
    chat: int | None = None
    message_id: int
    data: str
    language: str | None = None


class Typing(BaseModel):
    """A person types behind the bot's name, in any chat."""

    person: int
    text: str
    language: str | None = None


class Choosing(BaseModel):
    """A person sends the result with that id, of those offered for their query, into a chat."""

    person: int
    query: str
    result: str
    chat: int | None = None
    thread: int | None = None


class Leaving(BaseModel):
    """A person blocks the bot in their private chat, or removes it from the group; or takes that back."""

    person: int
    chat: int | None = None
    gone: bool = True


class Upgrading(BaseModel):
    """A person makes a supergroup of the small group, and Telegram tells the bot so in these ways."""

    person: int
    told: list[Literal["left", "moved"]]


class Rules(BaseModel):
    """How strict the stand-in is; None = as it was."""

    upload_limit: int | None = None
    rate_limits: bool | None = None
    upgraded: bool | None = None
    """The small group has become the supergroup."""


class ChatApi:
    """The people's side of the stand-in."""

    def __init__(self, world: World, methods: Methods, files: Files, faults: Faults) -> None:
        self._world = world
        self._methods = methods
        self._files = files
        self._faults = faults

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self._page)
        app.router.add_static("/page/", PAGE)
        app.router.add_get("/chat/state", self._state)
        app.router.add_post("/chat/send", self._send)
        app.router.add_post("/chat/attach", self._attach)
        app.router.add_post("/chat/leave", self._leave)
        app.router.add_post("/chat/upgrade", self._upgrade)
        app.router.add_post("/chat/press", self._press)
        app.router.add_post("/chat/inline", self._inline)
        app.router.add_post("/chat/choose", self._choose)
        app.router.add_get("/chat/file/{file_id}", self._file)
        app.router.add_get("/chat/breaches", self._breaches)
        app.router.add_post("/chat/faults", self._order_fault)
        app.router.add_post("/chat/rules", self._set_rules)

    async def _page(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGE / "index.html", headers=NO_SNIFF)

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """Everything that changed after the number `after`; waits up to `wait` seconds for something."""
        after, wait = int(request.query.get("after", 0)), float(request.query.get("wait", 0))
        await self._world.wait_for_change(after, min(wait, LONGEST_WAIT))
        changed = sorted(spot for spot, number in self._world.changed_at.items() if number > after)
        state: dict[str, Any] = {
            "sequence": self._world.sequence,
            "messages": [self._shown(spot) for spot in changed],
            "deleted": [list(spot) for spot, number in self._world.deleted.items() if number > after],
            "commands": self._world.commands,
        }
        if not after:
            state |= {
                "bot": dump(BOT),
                "people": [dump(person) for person in PEOPLE],
                "group": dump(GROUP),
                "channel": dump(CHANNEL),
                "admin": GROUP_CREATOR,
                "topics": [{"id": topic, "name": name} for topic, name in TOPICS.items()],
            }
        return web.json_response(state)

    def _shown(self, spot: tuple[int, int]) -> dict[str, Any]:
        dumped = dump(self._world.messages[spot])
        return {
            **dumped,
            "changed": self._world.changed_at[spot],
            "reaction": self._world.reactions.get(spot, ""),
            "only_for": self._world.only_for.get(spot),
        }

    async def _send(self, request: web.Request) -> web.StreamResponse:
        try:
            saying = Saying.model_validate(await request.json())
            person, chat = self._who_and_where(saying.person, saying.chat, saying.language)
            author, sender_chat = _author(person, chat, anonymous=saying.anonymous)
        except (ValidationError, ApiError) as error:
            return web.json_response({"error": str(error)}, status=400)
        reply_to = self._world.message(chat.id, saying.reply_to) if saying.reply_to else None
        message = await self._world.put(
            self._world.new_message(
                chat.id,
                author,
                sender_chat=sender_chat,
                text=saying.text[:4096],
                entities=_command_entities(saying.text),
                message_thread_id=saying.thread,
                is_topic_message=True if saying.thread else None,
                reply_to_message=reply_to and reply_to.model_copy(update={"reply_to_message": None}),
            )
        )
        self._tell(message, twice=saying.twice)
        return web.json_response({"message_id": message.message_id})

    def _tell(self, message: Message, *, twice: bool = False) -> None:
        """Tell the bot of what a person said, if it may know."""
        if _bot_sees(message):
            kind = "channel_post" if message.chat == CHANNEL else "message"
            update = self._world.tell_bot(**{kind: message})
            if twice:
                self._world.tell_again(update)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        """A person sends a file: the fields of `Saying` in the query, `text` as its caption, its bytes in the body."""
        try:
            saying = Saying.model_validate(dict(request.query))
            person, chat = self._who_and_where(saying.person, saying.chat, saying.language)
        except (ValidationError, ApiError) as error:
            return web.json_response({"error": str(error)}, status=400)
        stored = self._files.take(request.query.get("name", "file"), await request.read())
        document = Document(
            file_id=stored.file_id,
            file_unique_id=stored.file_id[-12:],
            file_name=stored.name,
            mime_type=stored.mime_type,
            file_size=stored.size,
        )
        message = self._world.new_message(
            chat.id,
            person,
            document=document,
            caption=saying.text or None,
            caption_entities=_command_entities(saying.text),
            message_thread_id=saying.thread,
            is_topic_message=True if saying.thread else None,
        )
        self._tell(await self._world.put(message))
        return web.json_response({"message_id": message.message_id})

    async def _leave(self, request: web.Request) -> web.StreamResponse:
        leaving = Leaving.model_validate(await request.json())
        person, chat = self._who_and_where(leaving.person, leaving.chat)
        self._world.leave(person, chat, gone=leaving.gone)
        return web.json_response({})

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        upgrading = Upgrading.model_validate(await request.json())
        self._world.upgrade(self._world.person(upgrading.person, None), upgrading.told)
        return web.json_response({})

    async def _press(self, request: web.Request) -> web.StreamResponse:
        try:
            pressing = Pressing.model_validate(await request.json())
            person, chat = self._who_and_where(pressing.person, pressing.chat, pressing.language)
        except (ValidationError, ApiError) as error:
            return web.json_response({"error": str(error)}, status=400)
        message = self._world.message(chat.id, pressing.message_id)
        query = CallbackQuery(
            id=uuid.uuid4().hex,
            from_user=person,
            chat_instance=str(chat.id),
            message=message and self._methods.as_bot_sees(message),
            data=pressing.data,
        )
        return web.json_response(await self._methods.press(query))

    async def _inline(self, request: web.Request) -> web.StreamResponse:
        try:
            typing = Typing.model_validate(await request.json())
            person = self._world.person(typing.person, typing.language)
        except (ValidationError, ApiError) as error:
            return web.json_response({"error": str(error)}, status=400)
        query = InlineQuery(id=uuid.uuid4().hex, from_user=person, query=typing.text[:256], offset="")
        return web.json_response({"query": query.id, "results": await self._methods.offer(query)})

    async def _choose(self, request: web.Request) -> web.StreamResponse:
        try:
            choosing = Choosing.model_validate(await request.json())
            person, chat = self._who_and_where(choosing.person, choosing.chat)
            offered = self._methods.inline[choosing.query].result()
            result = next(one for one in offered if one["id"] == choosing.result)
            message = await self._methods.choose(person, chat.id, choosing.thread, result)
        except (ValidationError, ApiError, KeyError, StopIteration) as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"message_id": message.message_id})

    def _who_and_where(self, person_id: int, chat_id: int | None, language: str | None = None) -> tuple[User, Chat]:
        person = self._world.person(person_id, language)
        return person, self._world.chat(person_id if chat_id is None else chat_id)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        stored = self._files.get(request.match_info["file_id"])
        if stored is None:
            return web.json_response({"error": "no such file"}, status=404)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(stored.name, safe='')}",
            "Content-Type": "application/octet-stream",
        }
        return web.FileResponse(self._files.path(stored.file_id), headers=headers)

    async def _breaches(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"breaches": self._world.breaches, "uploads": self._files.uploads})

    async def _order_fault(self, request: web.Request) -> web.StreamResponse:
        self._faults.order(Fault.model_validate(await request.json()))
        return web.json_response({})

    async def _set_rules(self, request: web.Request) -> web.StreamResponse:
        rules = Rules.model_validate(await request.json())
        if rules.upload_limit is not None:
            self._files.upload_limit = rules.upload_limit
        if rules.rate_limits is not None:
            self._methods.rates = RateRules() if rules.rate_limits else None
        if rules.upgraded is not None:
            self._world.upgraded = rules.upgraded
        return web.json_response({})


def _author(person: User, chat: Chat, *, anonymous: bool) -> tuple[User | None, Chat | None]:
    """Whom the message comes from, and in the name of which chat."""
    if chat != CHANNEL and not anonymous:
        return person, None
    if person.id != GROUP_CREATOR:
        raise bad_request("only admins can")
    return (None if chat == CHANNEL else ANONYMOUS), chat


def _command_entities(text: str) -> list[MessageEntity] | None:
    if not text.startswith("/"):
        return None
    return [MessageEntity(type="bot_command", offset=0, length=len(text.split(maxsplit=1)[0]))]


def _bot_sees(message: Message) -> bool:
    """Privacy mode: in a group the bot gets commands meant for it and answers to what it said."""
    if message.chat.type in {"private", "channel"}:
        return True
    replied = message.reply_to_message
    if replied and replied.from_user and replied.from_user.id == BOT.id:
        return True
    text = message.text or message.caption or ""
    command, _, name = text.split(maxsplit=1)[0].partition("@") if text.startswith("/") else ("", "", "")
    return bool(command) and name.lower() in {"", str(BOT.username).lower()}
