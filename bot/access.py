"""Who may use the bot, and how often they may ask."""

from typing import Any

from aiogram import BaseMiddleware
from aiogram.types import CallbackQuery, Chat, InlineQuery, Message, TelegramObject, User

from bot.memory.bans import Bans
from bot.middlewares import Answer, Handler
from bot.pacing import Pacing
from bot.settings import BotSettings

NOT_HERE = "This bot is not open to this chat. Its operator can allow the id {chat}."
BANNED = "You can't use this bot."
TOO_FAST = "That was a lot at once. Try again in a minute."


class Access(BaseMiddleware):
    """Lets messages and presses through to the handlers, or says once why it does not."""

    def __init__(self, settings: BotSettings, bans: Bans, pacing: Pacing) -> None:
        self._settings = settings
        self._bans = bans
        self._pacing = pacing

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        user, chat = data.get("event_from_user"), data.get("event_chat")
        refusal = await self._refusal(user, chat)
        if refusal is None and isinstance(event, Message) and user and not await self._pacing.may_ask(user.id):
            refusal = TOO_FAST
        if refusal is None:
            return await handler(event, data)
        if isinstance(event, CallbackQuery):
            await Answer(event).now(refusal, alert=True)
        elif isinstance(event, InlineQuery):
            await event.answer([], is_personal=True)
        elif isinstance(event, Message) and user and await self._pacing.may_be_told(user.id):
            await event.reply(refusal)
        return None

    async def _refusal(self, user: User | None, chat: Chat | None) -> str | None:
        if user and user.id in self._settings.admins:
            return None
        if user and await self._bans.has(user.id):
            return BANNED
        here = {user and user.id, chat and chat.id}
        if self._settings.allowed_chats and not here.intersection(self._settings.allowed_chats):
            return NOT_HERE.format(chat=chat.id if chat else "?")
        return None
