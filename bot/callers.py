"""Who speaks to us, and in which language we answer."""

from dataclasses import dataclass
from typing import Any

from aiogram import BaseMiddleware
from aiogram.types import Chat, Message, TelegramObject, User

from bot.language import speak
from bot.memory.preferences import Chosen, Preferences
from bot.middlewares import Handler


@dataclass(frozen=True)
class Caller:
    """A person; or a group or channel in whose name its admins speak, with its negative id."""

    id: int
    name: str


class Acquaint(BaseMiddleware):
    """Gives handlers the `caller` and the `preferences` that count for them in this chat, and speaks their language.

    In a group the group's own choices come first, as what is sent there is for all. What is not said to us ends here.
    """

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        user, chat = data.get("event_from_user"), data.get("event_chat")
        caller = _caller(event, user)
        if caller is None or (isinstance(event, Message) and not _for_us(event)):
            return None
        # First, so that an error on the way is told in it as well.
        speak(user.language_code if user else "")
        data["caller"], data["preferences"] = caller, await self._preferences(caller, chat)
        if data["preferences"].language:
            speak(data["preferences"].language)
        return await handler(event, data)

    async def _preferences(self, caller: Caller, chat: Chat | None) -> Preferences:
        own = await self._chosen.of(caller.id)
        if chat is None or chat.id in {caller.id, 0}:
            return own
        return (await self._chosen.of(chat.id)).over(own)


def _caller(event: TelegramObject, user: User | None) -> Caller | None:
    if isinstance(event, Message) and event.sender_chat:
        return Caller(event.sender_chat.id, event.sender_chat.full_name)
    return Caller(user.id, user.full_name) if user else None


def _for_us(message: Message) -> bool:
    """What people in a group say to each other is none of our business, even where we are shown it."""
    if message.chat.type == "private" or message.migrate_to_chat_id:
        return True
    replied = message.reply_to_message
    if message.chat.type == "channel" and replied:
        return True  # who wrote the other one is not told there
    said = message.text or message.caption or ""
    return said.startswith("/") or bool(replied and replied.from_user and replied.from_user.is_bot)
