"""`Download (N)`, `/download` and `Retry`: requests go to the queue, and a status message follows them."""

import shlex

from aiogram import Router
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message

from bot import keyboards
from bot.callbacks import DownloadPicked, FetchMissing, GetAgain, RetryJob
from bot.delivery.desk import Desk, Taken
from bot.handlers.menu_access import PressRefused, open_menu
from bot.memory.history import History
from bot.memory.menus import Menus, Picker
from bot.middlewares import Answer
from bot.settings import BotSettings
from bot.texts import safe, sentence
from tasks.archives.names import chapter_range
from tasks.errors import ManhwaError, NotFound, RequestError, TooManyChapters
from tasks.jobs.job import Job
from tasks.jobs.store import JobStore
from tasks.models import LONGEST_ID, DownloadRequest
from tasks.sources.registry import Sources

USAGE = (
    "Send /download, a source and chapter ids: <code>/download demo lantern-1 lantern-2</code>. /sources lists sources."
)
PICK_FIRST = "Pick at least one chapter first."
NOTHING_YET = "Nothing was delivered here yet."
MOST_SHOWN = 10
TAKEN = {
    Taken.STARTED: "On its way.",
    Taken.ALREADY: "That is on its way already.",
    Taken.SENT: "Here it is.",
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
    menus: Menus,
    desk: Desk,
    settings: BotSettings,
    answer: Answer,
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    picked = sorted(await menus.picked(picker.id))
    if not picked:
        raise PressRefused(PICK_FIRST)
    manga = picker.details.manga
    request = DownloadRequest(
        source=manga.source,
        title=manga.title,
        manga_id=manga.id,
        chapters=tuple(picker.chapters[place] for place in picked if place < len(picker.chapters)),
        part_limit=settings.upload_limit,
    )
    await _take_press(query, request, desk, answer)


async def retry_job(query: CallbackQuery, callback_data: RetryJob, store: JobStore, desk: Desk, answer: Answer) -> None:
    job = await _ended_job(callback_data.job, store)
    await _take_press(query, job.request, desk, answer)


async def fetch_missing(
    query: CallbackQuery, callback_data: FetchMissing, store: JobStore, desk: Desk, answer: Answer
) -> None:
    job = await _ended_job(callback_data.job, store)
    await _take_press(query, job.missing_request() or job.request, desk, answer)


async def list_history(message: Message, history: History) -> None:
    """In private what the person got anywhere, in a group what the group got."""
    requests = await history.of(message.chat.id, MOST_SHOWN)
    if not requests:
        await message.reply(NOTHING_YET)
        return
    lines = [
        f"{number}. <b>{safe(request.title, 100)}</b> · ch {safe(chapter_range([c.label for c in request.chapters]), 80)}"
        for number, request in enumerate(requests, start=1)
    ]
    await message.reply("\n".join(lines), reply_markup=keyboards.get_again(requests))


async def get_again(
    query: CallbackQuery, callback_data: GetAgain, history: History, desk: Desk, answer: Answer
) -> None:
    request = await history.request(callback_data.request)
    if request is None:
        raise PressRefused("That is too long ago. Send /search to find it again.")
    await _take_press(query, request, desk, answer)


async def _ended_job(job_id: str, store: JobStore) -> Job:
    job = await store.read(job_id)
    if job is None:
        raise PressRefused("That download is too long ago. Send /search to find it again.")
    return job


async def _take_press(query: CallbackQuery, request: DownloadRequest, desk: Desk, answer: Answer) -> None:
    if not isinstance(query.message, Message):
        raise PressRefused("This message is too old. Send /search to open a new one.")
    # What answers to the person's own words tells them so; a menu does, unless those were deleted.
    asked_in = query.message.reply_to_message or query.message
    try:
        taken = await desk.take(request, query.message, asked_in.message_id, query.from_user)
    except RequestError as error:
        raise PressRefused(sentence(error.code, error.detail)) from error
    await answer.now(TAKEN[taken])


async def download_command(
    message: Message, command: CommandObject, sources: Sources, desk: Desk, settings: BotSettings
) -> None:
    words = _words(command.args or "")
    if len(words) < 2 or message.from_user is None:
        await message.reply(USAGE)
        return
    try:
        request = await _request(words[0], words[1:], sources, settings)
        if await desk.take(request, message, message.message_id, message.from_user) is Taken.ALREADY:
            await message.reply(TAKEN[Taken.ALREADY])
    except ManhwaError as error:
        await message.reply(safe(sentence(error.code, error.detail), 500))


def _words(text: str) -> list[str]:
    """Ids are parted by spaces; one with spaces in it stands in quotes."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


async def _request(source_name: str, ids: list[str], sources: Sources, settings: BotSettings) -> DownloadRequest:
    source = sources.get(source_name)
    unique = list(dict.fromkeys(ids))
    # Before the source is asked for each of them.
    if len(unique) > settings.max_chapters_per_job:
        raise TooManyChapters(asked=len(unique), limit=settings.max_chapters_per_job)
    if any(len(one) > LONGEST_ID for one in unique):
        raise NotFound(source=source.name)
    details = await source.locate(unique)
    return DownloadRequest(
        source=source.name,
        title=details.manga.title,
        manga_id=details.manga.id,
        chapters=details.chapters,
        part_limit=settings.upload_limit,
    )
