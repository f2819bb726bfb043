"""`Download (N)`, `/download`, `Retry` and `/history`: requests go to the queue, and a status message follows them."""

import shlex
from collections.abc import Sequence

from aiogram import Bot, Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from bot import keyboards
from bot.callbacks import DownloadPicked, FetchMissing, GetAgain, RetryJob
from bot.callers import Caller
from bot.delivery.desk import Desk, Taken
from bot.delivery.status_message import what
from bot.destination import Destination
from bot.handlers.menu_access import TOO_OLD, PressRefused, is_member, open_menu
from bot.handlers.quiet import nod
from bot.language import mark, say, speaking, spoken
from bot.memory.history import History
from bot.memory.menus import Menus, Picker
from bot.memory.preferences import Chosen, Preferences
from bot.middlewares import Answer
from bot.requests import locate, request_for
from bot.settings import BotSettings
from bot.texts import safe, sentence
from tasks.errors import ManhwaError, RequestError
from tasks.jobs.job import Job
from tasks.jobs.store import JobStore
from tasks.models import (
    DownloadRequest,
)
from tasks.sources.registry import Sources

USAGE = mark(
    "Send /download, a source and chapter ids: <code>/download demo lantern-1 lantern-2</code>. /sources lists sources."
)
TOO_LONG_AGO = mark("That is too long ago. Send /search to find it again.")
MOST_SHOWN = 10
TAKEN = {
    Taken.STARTED: mark("On its way."),
    Taken.JOINED: mark("That is on its way already; you wait for it as well."),
    Taken.ALREADY: mark("That is on its way already."),
    Taken.SENT: mark("Here it is."),
}


def router() -> Router:
    routes = Router(name="download")
    routes.message.register(download_command, Command("download"))
    routes.callback_query.register(download_picked, DownloadPicked.filter())
    routes.callback_query.register(retry_job, RetryJob.filter())
    routes.callback_query.register(fetch_missing, FetchMissing.filter())
    routes.callback_query.register(get_again, GetAgain.filter())
    routes.message.register(list_history, Command("history"))
    return routes


async def download_picked(
    query: CallbackQuery,
    callback_data: DownloadPicked,
    bot: Bot,
    caller: Caller,
    preferences: Preferences,
    chosen: Chosen,
    menus: Menus,
    desk: Desk,
    settings: BotSettings,
    answer: Answer,
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    picked = sorted(picker.available(await menus.picked(picker.id)))
    if not picked:
        raise PressRefused(say("Pick at least one chapter first."))
    manga, chapters = picker.details.manga, [picker.chapters[place] for place in picked]
    to = picker.destination
    if to is None:
        await _take_press(query, request_for(manga, chapters, preferences, settings), caller, desk, answer)
        return
    # They may have left the group since they began.
    if not await is_member(bot, to.chat_id, caller.id):
        raise PressRefused(say("You are not in that group."))
    there = (await chosen.of(to.chat_id)).over(preferences)
    with speaking(there.language or spoken()):
        taken = await _take(request_for(manga, chapters, there, settings), to, caller, desk)
    if taken is Taken.ALREADY:
        raise PressRefused(say(TAKEN[taken]))
    await answer.now(say("It comes to {name}.", name=picker.destination_name), alert=True)


async def retry_job(
    query: CallbackQuery, callback_data: RetryJob, caller: Caller, store: JobStore, desk: Desk, answer: Answer
) -> None:
    job = await ended_job(callback_data.job, store)
    await _take_press(query, job.request, caller, desk, answer)


async def fetch_missing(
    query: CallbackQuery, callback_data: FetchMissing, caller: Caller, store: JobStore, desk: Desk, answer: Answer
) -> None:
    job = await ended_job(callback_data.job, store)
    await _take_press(query, job.missing_request() or job.request, caller, desk, answer)


async def list_history(message: Message, history: History) -> None:
    """In private what the person got anywhere, in a group what the group got."""
    requests = await history.of(message.chat.id, MOST_SHOWN)
    if not requests:
        await message.reply(say("Nothing was delivered here yet."))
        return
    lines = [f"{number}. {what(request, 100)}" for number, request in enumerate(requests, start=1)]
    await message.reply("\n".join(lines), reply_markup=keyboards.get_again(requests))


async def get_again(
    query: CallbackQuery, callback_data: GetAgain, caller: Caller, history: History, desk: Desk, answer: Answer
) -> None:
    request = await history.request(callback_data.request)
    if request is None:
        raise PressRefused(say(TOO_LONG_AGO))
    await _take_press(query, request, caller, desk, answer)


async def ended_job(job_id: str, store: JobStore) -> Job:
    """The record of a job that a button names. Raises `PressRefused` where it is forgotten."""
    job = await store.read_if_possible(job_id)
    if job is None:
        raise PressRefused(say(TOO_LONG_AGO))
    return job


async def _take_press(
    query: CallbackQuery, request: DownloadRequest, caller: Caller, desk: Desk, answer: Answer
) -> None:
    if not isinstance(query.message, Message):
        raise PressRefused(say(TOO_OLD))
    # What answers to the person's own words tells them so; a menu does, unless those were deleted.
    asked_in = query.message.reply_to_message or query.message
    # One that only they see has no number that others could answer to.
    number = None if query.message.ephemeral_message_id else asked_in.message_id
    taken = await _take(request, Destination.of(query.message, number), caller, desk)
    await answer.now(say(TAKEN[taken]))


async def _take(request: DownloadRequest, to: Destination, caller: Caller, desk: Desk) -> Taken:
    try:
        return await desk.take(request, to, caller)
    except RequestError as error:
        raise PressRefused(sentence(error.code, error.detail)) from error


async def download_command(
    message: Message,
    command: CommandObject,
    caller: Caller,
    preferences: Preferences,
    sources: Sources,
    desk: Desk,
    settings: BotSettings,
) -> None:
    words = _words(command.args or "")
    if len(words) < 2:
        await message.reply(say(USAGE))
        return
    await take_command(message, words[0], words[1:], caller, preferences, sources, desk, settings)


async def take_command(
    message: Message,
    source: str,
    ids: Sequence[str],
    caller: Caller,
    preferences: Preferences,
    sources: Sources,
    desk: Desk,
    settings: BotSettings,
) -> None:
    """Take the chapters with these ids of that source; whatever keeps them from being taken is told."""
    try:
        located = await locate(source, ids, sources, settings)
        request = request_for(located.manga, located.chapters, preferences, settings)
        taken = await desk.take(request, Destination.of(message, message.message_id), caller)
    except ManhwaError as error:
        await message.reply(safe(sentence(error.code, error.detail), 500))
        return
    if taken in {Taken.ALREADY, Taken.JOINED}:
        await nod(message, "👀", say(TAKEN[taken]))


def _words(text: str) -> list[str]:
    """Ids are parted by spaces; one with spaces in it stands in quotes."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
