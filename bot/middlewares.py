"""What happens around every update, and around every call of the Bot API."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, ClassVar, cast

from aiogram import BaseMiddleware, Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import (
    TelegramAPIError,
    TelegramNetworkError,
    TelegramRetryAfter,
    TelegramServerError,
)
from aiogram.methods import (
    AnswerCallbackQuery,
    EditEphemeralMessageText,
    EditMessageReplyMarkup,
    EditMessageText,
    GetUpdates,
    Response,
    SendDocument,
    SendMessage,
    TelegramMethod,
)
from aiogram.methods.base import TelegramType
from aiogram.types import CallbackQuery, TelegramObject, Update
from redis.exceptions import RedisError

from bot.delivery.outgoing import OutgoingFile, before_it_goes
from bot.editing import shown_at_the_end
from bot.language import is_right_to_left
from bot.memory.once import handling
from bot.memory.processes import TakenForDead, acting_as, handling_as
from bot.memory.updates import MOST_TRIES, Updates
from bot.pacing import SPACING_MS, Pacing
from bot.process_lease import ProcessLease
from tasks.logs import begin

log = logging.getLogger(__name__)

Handler = Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]]


class WriteDown(BaseRequestMiddleware):
    """Writes updates down as they come in, before aiogram tells Telegram that they may be forgotten."""

    def __init__(self, updates: Updates, lease: ProcessLease) -> None:
        self._updates = updates
        self._lease = lease

    async def __call__(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[TelegramType]
    ) -> Response[TelegramType]:
        answer = await make_request(bot, method)
        if isinstance(method, GetUpdates):
            await self._updates.receive(self._lease.id, cast("list[Update]", answer))
        return answer


class OnlyOnce(BaseMiddleware):
    """Drops updates that were handled before, or are just being handled, here or elsewhere; notes the end of the others.

    One that the bot is stopped or killed over, be it before all it led to is shown, is not noted, and neither is one that
    Redis was away over: another process, or the next, handles it once more. Where this one was taken for dead meanwhile, its
    handler says no more.
    """

    def __init__(self, updates: Updates, lease: ProcessLease) -> None:
        self._updates = updates
        self._lease = lease
        self.handling: set[int] = set()
        """Ids of updates whose handlers run."""

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        if not isinstance(event, Update) or event.update_id in self.handling:
            return None
        chat = data.get("event_chat")
        begin(update=event.update_id, **({"chat": chat.id} if chat else {}))
        self.handling.add(event.update_id)
        process = self._lease.id
        try:
            tries = await self._updates.tries(process, event.update_id)
            if tries is None:
                return None
            data["given_up"] = tries > MOST_TRIES
            handling.set(str(event.update_id))
            handling_as.set(process)
            return await self._handle(process, handler, event, data)
        except TakenForDead:
            log.info("who has the update in hand now goes on with it")
            self._lease.ring()  # it may be this process again
            return None
        finally:
            self.handling.discard(event.update_id)

    async def _handle(self, process: str, handler: Handler, update: Update, data: dict[str, Any]) -> Any:
        try:
            async with shown_at_the_end():
                result = await handler(update, data)
        except RedisError:
            handling_as.set("")  # that is told at once, not when Redis knows again whose the update is
            raise
        except TakenForDead:
            raise
        except Exception:  # whatever it is, it would only go wrong once more
            await self._updates.done(process, update.update_id)
            raise
        await self._updates.done(process, update.update_id)
        return result


class TriedTooOften(Exception):
    """An update is given up: bots that were killed over it, or could not end it, began it so often."""


class GiveUp(BaseMiddleware):
    """Keeps an update that was begun too often from its handler. Raises `TriedTooOften`, for who tells that."""

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        if data["given_up"]:
            raise TriedTooOften
        return await handler(event, data)


class Answer:
    """Answers a press: once, early where a handler asks for it, at the latest when the handler is done."""

    def __init__(self, query: CallbackQuery) -> None:
        self._query = query
        self._answered = False

    async def now(self, text: str | None = None, *, alert: bool = False) -> None:
        """Answer the press, if that has not been done."""
        if self._answered:
            return
        self._answered = True
        try:
            await self._query.answer(text and text[:200], show_alert=alert)
        except TelegramAPIError as error:
            # Too late, most likely: the button has stopped spinning by itself.
            log.info("a press could not be answered: %s", error)


class AnswerPresses(BaseMiddleware):
    """Gives handlers of presses their `answer`, and sees to it that none is left without."""

    async def __call__(self, handler: Handler, event: TelegramObject, data: dict[str, Any]) -> Any:
        if not isinstance(event, CallbackQuery):
            return await handler(event, data)
        data["answer"] = answer = Answer(event)
        result = await handler(event, data)
        await answer.now()
        return result


class RightToLeft(BaseRequestMiddleware):
    """Begins each line of Arabic with a mark: by itself a line runs in the direction of its first word, often a title's."""

    MARK = "\u200f"
    FIELDS: ClassVar[dict[type[TelegramMethod[Any]], str]] = {
        SendMessage: "text",
        EditMessageText: "text",
        EditEphemeralMessageText: "text",
        SendDocument: "caption",
    }

    async def __call__(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[TelegramType]
    ) -> Response[TelegramType]:
        field = self.FIELDS.get(type(method), "")
        text = getattr(method, field, None) if is_right_to_left() else None
        if text:
            marked = "\n".join(f"{self.MARK}{line}" for line in text.split("\n"))
            method = method.model_copy(update={field: marked})
        return await make_request(bot, method)


class Polite(BaseRequestMiddleware):
    """Keeps Telegram's limits for messages we send, and tries again what is safe to try again.

    Edits get their slots where they are made, before their text is rendered. A file or message whose answer was lost is not
    sent again, as it may have arrived.
    """

    ATTEMPTS = 5

    def __init__(self, pacing: Pacing) -> None:
        self._pacing = pacing

    async def __call__(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[TelegramType]
    ) -> Response[TelegramType]:
        chat_id = _told(method)
        if chat_id is None:
            return await self._try(make_request, bot, method)
        if isinstance(method, SendMessage | SendDocument):
            await self._pacing.slot(chat_id)
        began = time.monotonic()
        answer = await self._try(make_request, bot, method)
        was_long = time.monotonic() - began > SPACING_MS / 1000
        with suppress(RedisError):  # it is there, whoever knows of it
            if was_long:
                await self._pacing.arrived(chat_id)
            else:
                await self._pacing.came(chat_id)
        return answer

    async def _try(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[TelegramType]
    ) -> Response[TelegramType]:
        for attempt in range(1, self.ATTEMPTS):
            try:
                return await make_request(bot, method)
            except TelegramRetryAfter as error:
                await self._wait_as_told(method, error.retry_after)
            except (TelegramServerError, TelegramNetworkError) as error:
                if not _may_repeat(method, error):
                    raise
                log.info("%s failed (%s), trying again", type(method).__name__, type(error).__name__)
                await asyncio.sleep(0.5 * 2**attempt)
        return await make_request(bot, method)

    async def _wait_as_told(self, method: TelegramMethod[Any], seconds: float) -> None:
        chat_id = getattr(method, "chat_id", None)
        log.warning("Telegram wants silence for %s s in chat %s", seconds, chat_id)
        if isinstance(chat_id, int):
            await self._pacing.shut(chat_id, seconds)
            await self._pacing.slot(chat_id)
        else:
            await asyncio.sleep(seconds)


class OnlyOwnChats(BaseRequestMiddleware):
    """Lets a task that looks after a chat speak only while the chat is this process's, and a handler only while its update
    is: at each try, as close to the wire as can be, where also is noted what may go out now. Raises `TakenForDead` where it
    is not any more."""

    def __init__(self, lease: ProcessLease) -> None:
        self._lease = lease

    async def __call__(
        self, make_request: NextRequestMiddlewareType[TelegramType], bot: Bot, method: TelegramMethod[TelegramType]
    ) -> Response[TelegramType]:
        process, note = acting_as.get() or handling_as.get(), before_it_goes.get()
        if process:
            await self._lease.confirm(process)
        if note and isinstance(method, SendMessage | SendDocument):
            await note()
        return await make_request(bot, method)


def _told(method: TelegramMethod[Any]) -> int | None:
    """The chat that something is said in by that call."""
    if isinstance(method, SendMessage | SendDocument | EditMessageText | EditMessageReplyMarkup) and isinstance(
        method.chat_id, int
    ):
        return method.chat_id
    return None


def _may_repeat(method: TelegramMethod[Any], error: Exception) -> bool:
    if isinstance(method, EditMessageText | AnswerCallbackQuery):
        return True
    if (
        isinstance(method, SendDocument)
        and isinstance(method.document, OutgoingFile)
        and not method.document.handed_over
    ):
        return True
    # A 5xx says that nothing was done; a broken connection says nothing at all.
    return isinstance(method, SendMessage | SendDocument) and isinstance(error, TelegramServerError)
