"""Edits of messages in place: paced, and where they come faster than they may go, only the last one goes."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiogram import Bot
from aiogram.exceptions import TelegramAPIError, TelegramBadRequest
from aiogram.types import InlineKeyboardMarkup, LinkPreviewOptions

from bot.background import Background
from bot.language import speaking, spoken
from bot.memory.edits import Edits
from bot.memory.processes import TakenForDead, handling_as
from bot.pacing import Pacing

log = logging.getLogger(__name__)


class Spot(NamedTuple):
    """A message of a chat; with a `receiver` one that only that person sees, which has ids of its own kind."""

    chat_id: int
    message_id: int
    receiver: int | None = None


Render = Callable[[], Awaitable["Screen"]]
_asked_for: ContextVar[set[asyncio.Task[None]] | None] = ContextVar("_asked_for", default=None)


@asynccontextmanager
async def shown_at_the_end() -> AsyncIterator[None]:
    """Ends when all that the block gave an `Editor` to show is shown, or can't be; at once if the block fails."""
    edits: set[asyncio.Task[None]] = set()
    before = _asked_for.set(edits)
    try:
        yield
        if edits:
            await asyncio.wait(edits)
    finally:
        _asked_for.reset(before)


def _note(edit: asyncio.Task[None]) -> None:
    if (asked_for := _asked_for.get()) is not None:
        asked_for.add(edit)


@dataclass(frozen=True)
class Screen:
    """What a message shows: HTML text, its keyboard, and the address of a picture to preview."""

    text: str
    keyboard: InlineKeyboardMarkup | None = None
    picture: str | None = None

    @property
    def preview(self) -> LinkPreviewOptions:
        if self.picture:
            return LinkPreviewOptions(url=self.picture, prefer_small_media=True, show_above_text=True)
        return LinkPreviewOptions(is_disabled=True)


def digest(screen: Screen) -> str:
    """Two screens that show the same have the same."""
    keyboard = screen.keyboard.model_dump_json() if screen.keyboard else ""
    return hashlib.sha256(f"{screen.text}\0{keyboard}".encode()).hexdigest()[:16]


async def edit(bot: Bot, spot: Spot, screen: Screen) -> None:
    """Show the screen in that message. One that shows it already is fine; other `TelegramAPIError`s are raised."""
    shown: dict[str, Any] = {
        "text": screen.text,
        "reply_markup": screen.keyboard,
        "link_preview_options": screen.preview,
    }
    try:
        if spot.receiver:
            await bot.edit_ephemeral_message_text(spot.chat_id, spot.receiver, spot.message_id, **shown)
        else:
            await bot.edit_message_text(chat_id=spot.chat_id, message_id=spot.message_id, **shown)
    except TelegramBadRequest as error:
        if "message is not modified" not in error.message.lower():
            raise


class Editor:
    """Edits menus as people press: a burst of presses, of one process or of several, becomes one edit of the state they led to.

    What a message shows is remembered: Telegram takes an edit that changes nothing for an error.
    """

    def __init__(self, bot: Bot, pacing: Pacing, edits: Edits, background: Background) -> None:
        self._bot = bot
        self._pacing = pacing
        self._edits = edits
        self._background = background
        self._waiting: dict[Spot, tuple[str, str, Render]] = {}
        self._busy: dict[Spot, asyncio.Task[None]] = {}

    def show(self, spot: Spot, render: Render) -> None:
        """Show what `render` returns when the chat's turn comes; takes the place of what was still waiting there."""
        self._waiting[spot] = (spoken(), handling_as.get(), render)
        if spot not in self._busy:
            self._busy[spot] = self._background.start(self._work_off(spot))
        _note(self._busy[spot])

    def show_once(self, spot: Spot, screen: Screen) -> None:
        """Show a screen that is known already."""

        async def render() -> Screen:
            return screen

        self.show(spot, render)

    def show_buttons(self, spot: Spot, keyboard: InlineKeyboardMarkup) -> None:
        """Change the buttons alone, of a message that may be a file."""
        _note(self._background.start(self._change_buttons(spot, keyboard)))

    async def _change_buttons(self, spot: Spot, keyboard: InlineKeyboardMarkup) -> None:
        await self._pacing.slot(spot.chat_id)
        try:
            await self._bot.edit_message_reply_markup(
                chat_id=spot.chat_id, message_id=spot.message_id, reply_markup=keyboard
            )
        except TakenForDead:
            log.info("who has the update in hand now changes the buttons of message %s", spot)
        except TelegramAPIError as error:  # the message is gone, or shows them already
            log.info("the buttons of message %s can't be changed: %s", spot, error)

    async def _work_off(self, spot: Spot) -> None:
        try:
            while first := self._waiting.get(spot):
                turn = await self._edits.begin(spot)
                await self._pacing.slot(spot.receiver or spot.chat_id)
                language, process, render = latest = self._waiting.pop(spot)
                if latest is not first:
                    turn = await self._edits.begin(spot)
                # One edit may be asked for by an update that is this process's, and one before by an update that was.
                handling_as.set(process)
                with speaking(language), suppress(TakenForDead):
                    await self._edit(spot, turn, render)
        except TelegramAPIError as error:
            # The message is gone or we may not touch it: the person who presses it again is told so by Telegram.
            log.info("message %s can't be edited: %s", spot, error)
        finally:
            self._waiting.pop(spot, None)
            self._busy.pop(spot, None)

    async def _edit(self, spot: Spot, turn: int, render: Render) -> None:
        last, shown = await self._edits.latest(spot)
        if turn < last:
            return  # another process was asked for something later
        screen = await render()
        if digest(screen) != shown:
            await edit(self._bot, spot, screen)
            await self._edits.note(spot, digest(screen))
