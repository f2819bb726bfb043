"""What no handler took care of: refused presses, outdated and forged buttons, and our own mistakes."""

import logging
import secrets

from aiogram import Router
from aiogram.filters import ExceptionTypeFilter
from aiogram.types import CallbackQuery, ErrorEvent, Message
from redis.exceptions import RedisError

from bot.handlers.menu_access import PressRefused
from bot.language import mark, say
from bot.middlewares import Answer, TriedTooOften

log = logging.getLogger(__name__)

OUTDATED = mark("This button is outdated. Send /search to open a new menu.")
BUSY = mark("I can't reach my memory right now. Try again in a minute.")
OUR_MISTAKE = mark("Something went wrong. Try again; if it stays, tell the operator this number: {number}")


def router() -> Router:
    routes = Router(name="errors")
    routes.callback_query.register(unknown_button)
    routes.errors.register(refused, ExceptionTypeFilter(PressRefused))
    routes.errors.register(failed)
    return routes


async def unknown_button(_: CallbackQuery, answer: Answer) -> None:
    await answer.now(say(OUTDATED), alert=True)


async def refused(event: ErrorEvent) -> None:
    if event.update.callback_query:
        await Answer(event.update.callback_query).now(str(event.exception), alert=True)


async def failed(event: ErrorEvent) -> None:
    number = secrets.token_hex(3)
    log.error("the update failed (%s)", number, exc_info=event.exception)
    text = say(BUSY) if isinstance(event.exception, RedisError) else say(OUR_MISTAKE, number=number)
    query, message = event.update.callback_query, event.update.message or event.update.channel_post
    if query and isinstance(event.exception, TriedTooOften) and isinstance(query.message, Message):
        await query.message.reply(text)  # it is too late for an answer to the press
    elif query:
        await Answer(query).now(text, alert=True)
    elif message:
        await message.reply(text)
