"""`/jobs`, `/cancel`, and the `Cancel` and `Join` buttons."""

from aiogram import Bot, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot import keyboards
from bot.callbacks import CancelJob, JoinJob
from bot.callers import Caller
from bot.delivery.desk import Canceller, Desk
from bot.delivery.status_message import brief
from bot.handlers.menu_access import PressRefused, is_admin, spot_of
from bot.handlers.quiet import nod
from bot.language import mark, say
from bot.memory.watchers import Watcher, Watchers
from bot.middlewares import Answer
from tasks.archives.names import chapter_range
from tasks.jobs.store import JobStore

NONE = mark("You have no downloads running.")
CANCELLING = mark("Cancelling …")
LEFT = mark("You don't wait for it any more; others do.")
NOT_YOURS = mark("Only who asked for it, or an admin, can cancel it.")
OVER = mark("That download is over already.")
JOINED = mark("You wait for it as well; the file will name you.")
WAITS = mark("You wait for it already.")
MOST_JOBS_SHOWN = 10


def router() -> Router:
    routes = Router(name="jobs")
    routes.message.register(list_jobs, Command("jobs"))
    routes.message.register(cancel_newest, Command("cancel"))
    routes.callback_query.register(cancel_job, CancelJob.filter())
    routes.callback_query.register(join_job, JoinJob.filter())
    return routes


async def list_jobs(message: Message, caller: Caller, watchers: Watchers, store: JobStore) -> None:
    waiting = await _waiting(message, caller, watchers)
    places = await store.line()
    lines, ids, labels = [], [], []
    for watcher in waiting[:MOST_JOBS_SHOWN]:
        job = await store.read_if_possible(watcher.job_id)
        if job:
            lines.append(brief(job, places.get(job.id)))
            ids.append(job.id)
            labels.append(f"{chapter_range([c.label for c in job.request.chapters])} · {job.request.title}")
    if not ids:
        await message.reply(say(NONE))
        return
    await message.reply("\n".join(lines), reply_markup=keyboards.cancel(ids, labels))


async def _waiting(message: Message, caller: Caller, watchers: Watchers) -> list[Watcher]:
    """What the caller waits for: in a group only what was asked there."""
    waiting = await watchers.of_user(caller.id)
    in_private = message.chat.type == "private"
    return [w for w in waiting if not w.cancelled_by and (in_private or w.chat_id == message.chat.id)]


async def cancel_newest(message: Message, caller: Caller, watchers: Watchers, canceller: Canceller) -> None:
    for watcher in await _waiting(message, caller, watchers):
        # Sent twice in a hurry, it means two of them.
        if await canceller.leave(watcher, caller, once=True):
            await nod(message, "👌", say(CANCELLING))
            return
    await message.reply(say(NONE))


async def cancel_job(
    query: CallbackQuery,
    callback_data: CancelJob,
    bot: Bot,
    caller: Caller,
    watchers: Watchers,
    canceller: Canceller,
    answer: Answer,
) -> None:
    chat_id = spot_of(query).chat_id
    # In a private chat /jobs lists what was asked in groups as well.
    watcher = await watchers.get(f"{callback_data.job}:{chat_id}") or next(
        (w for w in await watchers.of_user(caller.id) if w.job_id == callback_data.job), None
    )
    if watcher is None or watcher.cancelled_by:
        raise PressRefused(say(OVER))
    if caller.id in watcher.joined:
        others = len(watcher.joined) > 1
        await answer.now(say(LEFT if others else CANCELLING))
        await canceller.leave(watcher, caller)
    elif await is_admin(bot, chat_id, caller.id):
        await answer.now(say(CANCELLING))
        await canceller.cancel(watcher, caller.name)
    else:
        raise PressRefused(say(NOT_YOURS))


async def join_job(
    query: CallbackQuery, callback_data: JoinJob, caller: Caller, watchers: Watchers, desk: Desk, answer: Answer
) -> None:
    chat_id = spot_of(query).chat_id
    watcher = await watchers.get(f"{callback_data.job}:{chat_id}")
    if watcher is None or watcher.cancelled_by:
        raise PressRefused(say(OVER))
    await answer.now(say(JOINED if await desk.join(watcher, caller) else WAITS))
