"""Who may use the bot, and how often they may ask."""

from typing import Any

from aiogram import BaseMiddleware
from aiogram.types import CallbackQuery, Chat, InlineQuery, Message, TelegramObject

from bot.callers import Caller
from bot.language import mark, say
from bot.memory.bans import Bans
from bot.middlewares import Answer, Handler
from bot.pacing import Pacing
from bot.settings import BotSettings

NOT_HERE = mark("This bot is not open to this chat. Its operator can allow the id {chat}.")
BANNED = mark("You can't use this bot.")
TOO_FAST = mark("That was a lot at once. Try again in a minute.")


class Access(BaseMiddleware):
    """Lets messages and presses through to the handlers, or says once why it does not."""

    def __init__(self, settings: BotSettings, bans: Bans, pacing: Pacing) -> None:
        self._settings = settings
        self._bans = bans
        self._pacing = pacing

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        if isinstance(event, Message) and event.migrate_to_chat_id:
            return await handler(event, data)  # Telegram itself says it, whoever did it
        caller: Caller = data["caller"]
        refusal = await self._refusal(caller, data.get("event_chat"))
        if refusal is None and isinstance(event, Message) and not await self._pacing.may_ask(caller.id):
            refusal = say(TOO_FAST)
        if refusal is None:
            return await handler(event, data)
        if isinstance(event, CallbackQuery):
            await Answer(event).now(refusal, alert=True)
        elif isinstance(event, InlineQuery):
            await event.answer([], is_personal=True)
        elif isinstance(event, Message) and await self._pacing.may_be_told(caller.id):
            await event.reply(refusal)
        return None

    async def _refusal(self, caller: Caller, chat: Chat | None) -> str | None:
        if caller.id in self._settings.admins:
            return None
        if await self._bans.has(caller.id):
            return say(BANNED)
        if not self._settings.is_open_to(caller.id, chat.id if chat else None):
            return say(NOT_HERE, chat=chat.id if chat else "?")
        return None
