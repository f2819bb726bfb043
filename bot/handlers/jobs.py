"""`/jobs`, `/cancel` and the `Cancel` buttons."""

from aiogram import Bot, Router
from aiogram.enums import ChatMemberStatus
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message

from bot import keyboards
from bot.callbacks import CancelJob
from bot.delivery.desk import Canceller
from bot.handlers.menu_access import PressRefused, spot_of
from bot.memory.watchers import Watcher, Watchers
from bot.middlewares import Answer
from bot.texts import safe
from tasks.archives.names import chapter_range
from tasks.jobs.job import Job, JobState
from tasks.jobs.store import JobStore

NONE = "You have no downloads running."
CANCELLING = "Cancelling …"
NOT_YOURS = "Only who asked for it, or an admin, can cancel it."
OVER = "That download is over already."
MOST_JOBS_SHOWN = 10


def router() -> Router:
    routes = Router(name="jobs")
    routes.message.register(list_jobs, Command("jobs"))
    routes.message.register(cancel_newest, Command("cancel"))
    routes.callback_query.register(cancel_job, CancelJob.filter())
    return routes


async def list_jobs(message: Message, watchers: Watchers, store: JobStore) -> None:
    waiting = await _waiting(message, watchers)
    lines, ids, labels = [], [], []
    for watcher in waiting[:MOST_JOBS_SHOWN]:
        job = await store.read(watcher.job_id)
        if job:
            lines.append(await _line(job, store))
            ids.append(job.id)
            labels.append(f"{chapter_range([c.label for c in job.request.chapters])} · {job.request.title}")
    if not ids:
        await message.reply(NONE)
        return
    await message.reply("\n".join(lines), reply_markup=keyboards.cancel(ids, labels))


async def _waiting(message: Message, watchers: Watchers) -> list[Watcher]:
    """What the sender waits for: in a group only what was asked there."""
    if message.from_user is None:
        return []
    waiting = await watchers.of_user(message.from_user.id)
    in_private = message.chat.type == "private"
    return [w for w in waiting if not w.cancelled_by and (in_private or w.chat_id == message.chat.id)]


async def _line(job: Job, store: JobStore) -> str:
    title = (
        f"<b>{safe(job.request.title, 80)}</b> · ch {safe(chapter_range([c.label for c in job.request.chapters]), 60)}"
    )
    if job.state is JobState.QUEUED:
        place = await store.place(job.id)
        return f"⏳ {title}: queued" + (f", position {place.position}" if place else "")
    if job.state is JobState.READY:
        return f"⬆ {title}: uploading"
    return f"⬇ {title}: {job.state.value}, {job.progress.percent} %"


async def cancel_newest(message: Message, watchers: Watchers, canceller: Canceller) -> None:
    waiting = await _waiting(message, watchers)
    if not waiting or message.from_user is None:
        await message.reply(NONE)
        return
    await canceller.cancel(waiting[0], message.from_user.full_name)
    await message.reply(CANCELLING)


async def cancel_job(
    query: CallbackQuery, callback_data: CancelJob, bot: Bot, watchers: Watchers, canceller: Canceller, answer: Answer
) -> None:
    chat_id, _ = spot_of(query)
    # In a private chat /jobs lists what was asked in groups as well.
    watcher = await watchers.get(f"{callback_data.job}:{chat_id}") or next(
        (w for w in await watchers.of_user(query.from_user.id) if w.job_id == callback_data.job), None
    )
    if watcher is None or watcher.cancelled_by:
        raise PressRefused(OVER)
    if watcher.user_id != query.from_user.id and not await _is_admin(bot, chat_id, query.from_user.id):
        raise PressRefused(NOT_YOURS)
    await answer.now(CANCELLING)
    await canceller.cancel(watcher, query.from_user.full_name)


async def _is_admin(bot: Bot, chat_id: int, user_id: int) -> bool:
    member = await bot.get_chat_member(chat_id, user_id)
    return member.status in {ChatMemberStatus.CREATOR, ChatMemberStatus.ADMINISTRATOR}
