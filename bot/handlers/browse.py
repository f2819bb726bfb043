"""From a search result to picked chapters: the title card and the picker."""

import logging
from collections.abc import Iterable
from typing import Literal

from aiogram import F, Router
from aiogram.exceptions import TelegramAPIError
from aiogram.filters import BaseFilter
from aiogram.types import CallbackQuery, EphemeralMessageParameters, Message

from bot import editions, keyboards, selection
from bot.callbacks import (
    Edition,
    NoAction,
    OpenResult,
    PickChapters,
    PickEdition,
    PickRange,
    PickWhat,
    ShowCard,
    ShowChapters,
    ShowEditions,
    ShowPages,
    ToggleChapter,
)
from bot.callers import Caller
from bot.destination import Destination
from bot.editing import Editor, Screen, Spot
from bot.handlers.cards import Cards
from bot.handlers.menu_access import PressRefused, open_menu, spot_of
from bot.handlers.quiet import nod
from bot.language import language_name, many, mark, say
from bot.memory.menus import Menus, Picker, Results
from bot.memory.preferences import Chosen, Preferences
from bot.memory.shared import Shared
from bot.middlewares import Answer
from bot.settings import BotSettings
from bot.texts import megabytes, safe, sentence
from tasks.archives.names import chapter_range
from tasks.errors import ManhwaError, SourceError
from tasks.jobs.store import JobStore
from tasks.models import Manga, MangaDetails
from tasks.sources.registry import Sources

log = logging.getLogger(__name__)

EXAMPLE = "<code>1-5, 8, 12.5, latest 3, vol 2</code>"
NOT_ALLOWED = mark("Titles of this kind are not allowed in this group.")
NOT_HERE = mark("The source has no pages of this chapter.")
MOST_FALLBACKS = 4


def router() -> Router:
    routes = Router(name="browse")
    routes.callback_query.register(open_result, OpenResult.filter())
    routes.callback_query.register(show_card, ShowCard.filter())
    routes.callback_query.register(show_chapters, ShowChapters.filter())
    routes.callback_query.register(show_pages, ShowPages.filter())
    routes.callback_query.register(show_editions, ShowEditions.filter())
    routes.callback_query.register(pick_edition, PickEdition.filter())
    routes.callback_query.register(toggle_chapter, ToggleChapter.filter())
    routes.callback_query.register(pick_chapters, PickChapters.filter())
    routes.callback_query.register(pick_range, PickRange.filter())
    routes.callback_query.register(no_action, NoAction.filter())
    routes.message.register(typed_selection, F.text, ~F.text.startswith("/"), AnswersPicker())
    return routes


class AnswersPicker(BaseFilter):
    """A text that picks chapters: an answer to a picker, or in private a selection while a picker is open."""

    async def __call__(self, message: Message, caller: Caller, menus: Menus) -> bool | dict[str, Picker]:
        picker_id = await _picker_meant(message, caller, menus)
        picker = await menus.get(picker_id, Picker) if picker_id else None
        if picker is None or picker.owner != caller.id:
            return False
        return {"picker": picker}


async def _picker_meant(message: Message, caller: Caller, menus: Menus) -> str | None:
    if message.reply_to_message:
        return await menus.picker_at(message.chat.id, message.reply_to_message.message_id)
    if message.chat.type == "private" and selection.looks_like_selection(message.text or ""):
        return await menus.picker_of(message.chat.id, caller.id)
    return None


async def open_result(
    query: CallbackQuery,
    callback_data: OpenResult,
    menus: Menus,
    sources: Sources,
    shared: Shared,
    settings: BotSettings,
    cards: Cards,
    preferences: Preferences,
    editor: Editor,
    answer: Answer,
) -> None:
    results = await open_menu(menus, callback_data.menu, Results, query)
    spot = spot_of(query)
    if not 0 <= callback_data.place < len(results.mangas):
        raise PressRefused(say("That result is not there any more. Send /search again."))
    manga = results.mangas[callback_data.place]
    if settings.ephemeral_menus:
        spot = await _for_one_alone(query, spot) or spot
    if spot == spot_of(query):
        await menus.leave(results.id)
    # The source may take longer than a press can wait for its answer.
    await answer.now(say("Opening …"))
    try:
        details = await sources.get(manga.source).details(manga.id)
    except SourceError as error:
        await menus.come_back(results.id)
        editor.show_once(spot, Screen(not_opened(manga, error), keyboards.results(results, 0)))
        return
    # Some sources rate a title only where they find it.
    details = details.model_copy(
        update={"manga": details.manga.model_copy(update={"rating": details.manga.rating or manga.rating})}
    )
    picker = await new_picker(details, results.owner, preferences, menus, shared, results=results.id)
    alone = spot.receiver is not None
    editor.show_once(spot, await cards.pressed(query, picker, alone=alone))


async def _for_one_alone(query: CallbackQuery, spot: Spot) -> Spot | None:
    """In a group a message that only who pressed sees; None where there can be none."""
    if query.bot is None or spot.chat_id > 0 or spot.receiver:
        return None
    # At once: Telegram allows it only within seconds of the press.
    only = EphemeralMessageParameters(receiver_user_id=query.from_user.id, callback_query_id=query.id)
    thread = Destination.of(query.message, None).thread_id if isinstance(query.message, Message) else None
    try:
        sent = await query.bot.send_message(
            spot.chat_id, say("Opening …"), message_thread_id=thread, ephemeral_message_parameters=only
        )
    except TelegramAPIError as error:
        log.info("no message for one person alone: %s", error)
        return None
    if sent.ephemeral_message_id is None:
        return Spot(spot.chat_id, sent.message_id)  # an older server, which shows it to all
    return Spot(spot.chat_id, sent.ephemeral_message_id, query.from_user.id)


async def new_picker(
    details: MangaDetails,
    owner: int,
    preferences: Preferences,
    menus: Menus,
    shared: Shared,
    *,
    results: str | None = None,
    destination: Destination | None = None,
    destination_name: str = "",
    is_whole: bool = True,
) -> Picker:
    """A picker of the title for that person, with the language and group they prefer; its `Share` button works from now on."""
    await shared.remember_title(details.manga)
    languages, wanted = editions.languages(details.chapters), preferences.chapter_language
    language = wanted if wanted in languages else next(iter(languages), None)
    groups = editions.groups(details.chapters, language)
    picker = Picker(
        id=menus.new_id(),
        owner=owner,
        details=details,
        results=results,
        language=language,
        instead_of=wanted if language != wanted else None,
        group=next((group for group in preferences.groups if group in groups), None),
        destination=destination,
        destination_name=destination_name,
        is_whole=is_whole,
    )
    await menus.save(picker)
    return picker


def not_opened(manga: Manga, error: ManhwaError) -> str:
    """Why the title can't be shown, as HTML."""
    return f"⚠ {safe(manga.title)}: {safe(sentence(error.code, error.detail), 300)}"


async def show_card(query: CallbackQuery, callback_data: ShowCard, menus: Menus, cards: Cards, editor: Editor) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    editor.show_once(spot_of(query), await cards.pressed(query, picker))


async def show_chapters(
    query: CallbackQuery, callback_data: ShowChapters, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    spot = spot_of(query)
    if spot.receiver is None:
        await menus.opened(picker, spot.chat_id, spot.message_id)
    _show_picker(editor, spot, menus, store, picker, callback_data.page)


async def show_pages(query: CallbackQuery, callback_data: ShowPages, menus: Menus, editor: Editor) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    editor.show_once(spot_of(query), Screen(f"{_head(picker)}\n{say('Jump to:')}", keyboards.pages(picker)))


async def show_editions(query: CallbackQuery, callback_data: ShowEditions, menus: Menus, editor: Editor) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    if callback_data.what is Edition.LANGUAGE:
        screen = Screen(f"{_head(picker)}\n{say('Chapters in which language?')}", keyboards.languages(picker))
    else:
        asked = say("Whose chapters first? Where a group has none, another one's are taken, and named.")
        screen = Screen(f"{_head(picker)}\n{asked}", keyboards.groups(picker))
    editor.show_once(spot_of(query), screen)


async def pick_edition(
    query: CallbackQuery,
    callback_data: PickEdition,
    menus: Menus,
    chosen: Chosen,
    editor: Editor,
    store: JobStore,
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    changed = await _with_edition(picker, callback_data, chosen)
    # What was picked stays picked, by its number.
    labels = {picker.chapters[place].label for place in picker.available(await menus.picked(picker.id))}
    places = [place for place, chapter in enumerate(changed.chapters) if chapter.label in labels]
    await menus.save(changed, picked=changed.available(places))
    _show_picker(editor, spot_of(query), menus, store, changed, 0)


async def _with_edition(picker: Picker, pressed: PickEdition, chosen: Chosen) -> Picker:
    chapters = picker.details.chapters
    names = (
        editions.languages(chapters) if pressed.what is Edition.LANGUAGE else editions.groups(chapters, picker.language)
    )
    if pressed.place >= len(names):
        raise PressRefused(say("There is no such choice."))
    if pressed.what is Edition.LANGUAGE:
        language = names[max(0, pressed.place)]
        await chosen.choose(picker.owner, chapter_language=language)
        group = picker.group if picker.group in editions.groups(chapters, language) else None
        return _renewed(picker, language=language, instead_of=None, group=group)
    if pressed.place < 0:
        return _renewed(picker, group=None)
    await chosen.prefer_group(picker.owner, names[pressed.place])
    return _renewed(picker, group=names[pressed.place])


def _renewed(picker: Picker, **fields: str | None) -> Picker:
    # Not model_copy: it would copy the list of offered chapters as well, which depends on these fields.
    return Picker.model_validate(picker.model_dump() | fields)


async def toggle_chapter(
    query: CallbackQuery, callback_data: ToggleChapter, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    spot, place = spot_of(query), callback_data.place
    if not 0 <= place < len(picker.chapters):
        raise PressRefused(say("That chapter is not in this list."))
    if not picker.chapters[place].available:
        raise PressRefused(say(NOT_HERE))
    await menus.press(picker.id, place)
    _show_picker(editor, spot, menus, store, picker, place // keyboards.CHAPTERS_ON_A_PAGE)


async def pick_chapters(
    query: CallbackQuery, callback_data: PickChapters, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    spot = spot_of(query)
    everything = sorted(picker.available(range(len(picker.chapters))))
    first = callback_data.page * keyboards.CHAPTERS_ON_A_PAGE
    page = range(first, first + keyboards.CHAPTERS_ON_A_PAGE)
    places: Iterable[int] = {
        PickWhat.ALL: everything,
        PickWhat.LATEST: everything[-1:],
        PickWhat.NONE: [],
        PickWhat.PAGE: picker.available(page),
    }[callback_data.what]
    kept = await menus.picked(picker.id) if callback_data.what is PickWhat.PAGE else set()
    await menus.pick(picker.id, kept.union(places))
    _show_picker(editor, spot, menus, store, picker, callback_data.page)


async def pick_range(
    query: CallbackQuery, callback_data: PickRange, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    await menus.begin_range(picker.id)
    _show_picker(editor, spot_of(query), menus, store, picker, callback_data.page)


async def no_action(query: CallbackQuery) -> None:
    """The page number between the arrows."""


async def typed_selection(message: Message, picker: Picker, menus: Menus, store: JobStore, editor: Editor) -> None:
    try:
        named = selection.parse(message.text or "", picker.chapters)
    except selection.SelectionError as error:
        text = say("I don't understand “{part}”. Write it like {example}.", part=safe(error.part, 60), example=EXAMPLE)
        await message.reply(text)
        return
    places = picker.available(named)
    if not places:
        title = safe(picker.details.manga.title, 100)
        none = say("No chapter of “{title}” has such a number.", title=title)
        await message.reply(say(NOT_HERE) if named else none)
        return
    page = min(places) // keyboards.CHAPTERS_ON_A_PAGE
    if message.reply_to_message and message.chat.type != "private":
        await menus.pick(picker.id, places)
        _show_picker(editor, Spot(message.chat.id, message.reply_to_message.message_id), menus, store, picker, page)
        await nod(message, "👌", say("Picked."))
        return
    await send_picker(message, picker, places, menus, store, page)


async def send_picker(
    message: Message, picker: Picker, places: set[int], menus: Menus, store: JobStore, page: int = 0
) -> None:
    """Pick these places, and show the picker in an answer to the message."""
    await menus.pick(picker.id, places)
    screen = picker_screen(picker, places, page, chapter_bytes=await store.usual_chapter_bytes())
    sent = await message.reply(screen.text, reply_markup=screen.keyboard, link_preview_options=screen.preview)
    await menus.opened(picker, sent.chat.id, sent.message_id)


def _show_picker(editor: Editor, spot: Spot, menus: Menus, store: JobStore, picker: Picker, page: int) -> None:
    async def screen() -> Screen:
        picked, begun = await menus.picked(picker.id), await menus.range_begun(picker.id)
        return picker_screen(picker, picker.available(picked), page, begun, await store.usual_chapter_bytes())

    editor.show(spot, screen)


def picker_screen(
    picker: Picker,
    picked: set[int],
    page: int,
    range_begun: Literal["no", "first"] | int = "no",
    chapter_bytes: int = 0,
) -> Screen:
    """The chapters on that page, what is picked, and how to pick by typing, or the end of a range.

    `chapter_bytes` is what a chapter usually takes; 0 = not known.
    """
    pages = keyboards.page_count(len(picker.chapters), keyboards.CHAPTERS_ON_A_PAGE)
    lines = [_head(picker), *_picked_lines(picker, picked, chapter_bytes), *_range_lines(picker, range_begun)]
    keyboard = keyboards.picker(picker, picked, max(0, min(page, pages - 1)), in_range=range_begun != "no")
    return Screen("\n".join(lines), keyboard)


def _head(picker: Picker) -> str:
    chapters = many("{number} chapter", "{number} chapters", len(picker.chapters))
    manga = picker.details.manga
    head = f"📖 <b>{safe(manga.title, 120)}</b> · {chapters} · {safe(manga.source)}"
    if picker.instead_of and picker.language:
        wanted, language = language_name(picker.instead_of), language_name(picker.language)
        head += "\n" + say("Nothing in {wanted}: these are in {language}.", wanted=wanted, language=language)
    if picker.destination:
        head += "\n↪ " + say("For {name}", name=safe(picker.destination_name, 60))
    return head


def _picked_lines(picker: Picker, picked: set[int], chapter_bytes: int) -> list[str]:
    chapters = [picker.chapters[place] for place in sorted(picked)]
    if not chapters:
        return [say("Pick chapters, or answer with {example}", example=EXAMPLE)]
    labels = safe(chapter_range([chapter.label for chapter in chapters]), 200)
    line = say("Picked {count}: {chapters}", count=len(chapters), chapters=labels)
    if chapter_bytes:
        line += " · " + say("about {size}", size=megabytes(len(chapters) * chapter_bytes))
    lines = [line]
    for group, others in list(editions.fallbacks(chapters, picker.group).items())[:MOST_FALLBACKS]:
        lines.append(say("Of {group}: {chapters}", group=safe(group, 60), chapters=safe(chapter_range(others), 80)))
    return lines


def _range_lines(picker: Picker, begun: Literal["no", "first"] | int) -> list[str]:
    if begun == "no":
        return []
    if begun == "first":
        return [say("Press the first chapter of the range …")]
    return [say("Range from {first}: press the last chapter …", first=safe(picker.chapters[begun].label, 40))]
