"""`Other sources` under a download that lacks something: the same chapters, picked, from where they can be had."""

from aiogram import Router
from aiogram.types import CallbackQuery, Message

from bot.callbacks import FindElsewhere
from bot.callers import Caller
from bot.handlers.browse import new_picker, send_picker
from bot.handlers.download import ended_job
from bot.handlers.menu_access import TOO_OLD, PressRefused
from bot.language import say
from bot.memory.menus import Menus
from bot.memory.preferences import Preferences
from bot.memory.shared import Shared
from bot.middlewares import Answer
from tasks.jobs.store import JobStore
from tasks.sources.elsewhere import find_elsewhere, same_chapters
from tasks.sources.registry import Sources


def router() -> Router:
    routes = Router(name="elsewhere")
    routes.callback_query.register(open_elsewhere, FindElsewhere.filter())
    return routes


async def open_elsewhere(
    query: CallbackQuery,
    callback_data: FindElsewhere,
    caller: Caller,
    preferences: Preferences,
    sources: Sources,
    store: JobStore,
    menus: Menus,
    shared: Shared,
    answer: Answer,
) -> None:
    job = await ended_job(callback_data.job, store)
    if not isinstance(query.message, Message):
        raise PressRefused(say(TOO_OLD))
    # Sources may take longer than a press can wait for its answer.
    await answer.now(say("Asking the other sources …"))
    wanted = job.lacking
    others = [source for source in sources.all() if source.name != job.request.source]
    details = await find_elsewhere(others, job.request.title, wanted)
    if details is None:
        await query.message.reply(say("No other source has these chapters."))
        return
    language = next((chapter.language for chapter in wanted if chapter.language), preferences.chapter_language)
    like_before = preferences.model_copy(update={"chapter_language": language})
    picker = await new_picker(details, caller.id, like_before, menus, shared)
    labels = {chapter.label for chapter in same_chapters(picker.chapters, wanted)}
    places = picker.available(place for place, chapter in enumerate(picker.chapters) if chapter.label in labels)
    await send_picker(query.message, picker, places, menus, store)
