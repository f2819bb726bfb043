"""From a search result to picked chapters: the title card and the picker."""

from collections.abc import Set as AbstractSet
from typing import Literal

from aiogram import F, Router
from aiogram.filters import BaseFilter
from aiogram.types import CallbackQuery, Message

from bot import keyboards, selection
from bot.callbacks import NoAction, OpenResult, PickChapters, PickRange, PickWhat, ShowCard, ShowChapters, ToggleChapter
from bot.editing import Editor, Screen
from bot.handlers.menu_access import PressRefused, open_menu, spot_of
from bot.memory.menus import Menus, Picker, Results
from bot.memory.shared import Shared
from bot.middlewares import Answer
from bot.texts import count, megabytes, safe, sentence
from tasks.archives.names import chapter_range
from tasks.errors import SourceError
from tasks.jobs.store import JobStore
from tasks.models import Manga, MangaDetails
from tasks.sources.registry import Sources

PICK = "Pick chapters, or answer with <code>1-5, 8, 12.5, latest 3, vol 2</code>"
RANGE_FIRST = "Press the first chapter of the range …"
RANGE_LAST = "Range from {first}: press the last chapter …"
NOT_UNDERSTOOD = "I don't understand “{part}”. Write it like <code>1-5, 8, 12.5, latest 3, vol 2</code>."
NO_SUCH_CHAPTER = "No chapter of “{title}” has such a number."


def router() -> Router:
    routes = Router(name="browse")
    routes.callback_query.register(open_result, OpenResult.filter())
    routes.callback_query.register(show_card, ShowCard.filter())
    routes.callback_query.register(show_chapters, ShowChapters.filter())
    routes.callback_query.register(toggle_chapter, ToggleChapter.filter())
    routes.callback_query.register(pick_chapters, PickChapters.filter())
    routes.callback_query.register(pick_range, PickRange.filter())
    routes.callback_query.register(no_action, NoAction.filter())
    routes.message.register(typed_selection, F.text, ~F.text.startswith("/"), AnswersPicker())
    return routes


class AnswersPicker(BaseFilter):
    """A text that picks chapters: an answer to a picker, or in private a selection while a picker is open."""

    async def __call__(self, message: Message, menus: Menus) -> bool | dict[str, Picker]:
        picker_id = await _picker_meant(message, menus)
        picker = await menus.get(picker_id, Picker) if picker_id else None
        if picker is None or message.from_user is None or picker.owner != message.from_user.id:
            return False
        return {"picker": picker}


async def _picker_meant(message: Message, menus: Menus) -> str | None:
    if message.reply_to_message:
        return await menus.picker_at(message.chat.id, message.reply_to_message.message_id)
    if message.chat.type == "private" and selection.looks_like_selection(message.text or "") and message.from_user:
        return await menus.picker_of(message.chat.id, message.from_user.id)
    return None


async def open_result(
    query: CallbackQuery,
    callback_data: OpenResult,
    menus: Menus,
    sources: Sources,
    shared: Shared,
    editor: Editor,
    answer: Answer,
) -> None:
    results = await open_menu(menus, callback_data.menu, Results, query)
    spot = spot_of(query)
    if callback_data.place >= len(results.mangas):
        raise PressRefused("That result is not there any more. Send /search again.")
    manga = results.mangas[callback_data.place]
    # The source may take longer than a press can wait for its answer.
    await answer.now("Opening …")
    try:
        details = await sources.get(manga.source).details(manga.id)
    except SourceError as error:
        editor.show_once(spot, Screen(not_opened(manga, error), keyboards.results(results, 0)))
        return
    picker = await new_picker(details, results.owner, menus, shared, results.id)
    editor.show_once(spot, card_screen(picker))


async def new_picker(
    details: MangaDetails, owner: int, menus: Menus, shared: Shared, results: str | None = None
) -> Picker:
    """A picker of the title for that person; its `Share` button works from now on."""
    await shared.remember_title(details.manga)
    picker = Picker(id=menus.new_id(), owner=owner, details=details, results=results)
    await menus.save(picker)
    return picker


def not_opened(manga: Manga, error: SourceError) -> str:
    """Why the title can't be shown, as HTML."""
    return f"⚠ {safe(manga.title)}: {safe(sentence(error.code, error.detail), 300)}"


async def show_card(query: CallbackQuery, callback_data: ShowCard, menus: Menus, editor: Editor) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    editor.show_once(spot_of(query), card_screen(picker))


async def show_chapters(
    query: CallbackQuery, callback_data: ShowChapters, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    chat_id, message_id = spot_of(query)
    await menus.opened(picker, chat_id, message_id)
    _show_picker(editor, (chat_id, message_id), menus, store, picker, callback_data.page)


async def toggle_chapter(
    query: CallbackQuery, callback_data: ToggleChapter, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    spot = spot_of(query)
    if callback_data.place >= len(picker.chapters):
        raise PressRefused("That chapter is not in this list.")
    if not await menus.range_takes(picker.id, callback_data.place):
        await menus.toggle(picker.id, callback_data.place)
    _show_picker(editor, spot, menus, store, picker, callback_data.place // keyboards.CHAPTERS_ON_A_PAGE)


async def pick_chapters(
    query: CallbackQuery, callback_data: PickChapters, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    spot = spot_of(query)
    everything, page = range(len(picker.chapters)), callback_data.page
    places = {
        PickWhat.ALL: everything,
        PickWhat.LATEST: everything[-1:],
        PickWhat.NONE: everything[:0],
        PickWhat.PAGE: everything[page * keyboards.CHAPTERS_ON_A_PAGE :][: keyboards.CHAPTERS_ON_A_PAGE],
    }[callback_data.what]
    kept = await menus.picked(picker.id) if callback_data.what is PickWhat.PAGE else set()
    await menus.pick(picker.id, kept.union(places))
    _show_picker(editor, spot, menus, store, picker, page)


async def pick_range(
    query: CallbackQuery, callback_data: PickRange, menus: Menus, editor: Editor, store: JobStore
) -> None:
    picker = await open_menu(menus, callback_data.menu, Picker, query)
    await menus.begin_range(picker.id)
    _show_picker(editor, spot_of(query), menus, store, picker, callback_data.page)


async def no_action(query: CallbackQuery) -> None:
    """The page number between the arrows."""


async def typed_selection(message: Message, picker: Picker, menus: Menus, store: JobStore) -> None:
    try:
        places = selection.parse(message.text or "", picker.chapters)
    except selection.SelectionError as error:
        await message.reply(NOT_UNDERSTOOD.format(part=safe(error.part, 60)))
        return
    if not places:
        await message.reply(NO_SUCH_CHAPTER.format(title=safe(picker.details.manga.title, 100)))
        return
    await menus.pick(picker.id, places)
    page = min(places) // keyboards.CHAPTERS_ON_A_PAGE
    screen = picker_screen(picker, places, page, chapter_bytes=await store.usual_chapter_bytes())
    sent = await message.reply(screen.text, reply_markup=screen.keyboard, link_preview_options=screen.preview)
    await menus.opened(picker, sent.chat.id, sent.message_id)


def _show_picker(
    editor: Editor, spot: tuple[int, int], menus: Menus, store: JobStore, picker: Picker, page: int
) -> None:
    async def screen() -> Screen:
        picked, begun = await menus.picked(picker.id), await menus.range_begun(picker.id)
        return picker_screen(picker, picked, page, begun, await store.usual_chapter_bytes())

    editor.show(spot, screen)


def picker_screen(
    picker: Picker,
    picked: AbstractSet[int],
    page: int,
    range_begun: Literal["no", "first"] | int = "no",
    chapter_bytes: int = 0,
) -> Screen:
    """The chapters on that page, what is picked, and how to pick by typing, or the end of a range.

    `chapter_bytes` is what a chapter usually takes; 0 = not known.
    """
    title = f"📖 <b>{safe(picker.details.manga.title, 120)}</b>"
    labels = [picker.chapters[place].label for place in sorted(picked) if place < len(picker.chapters)]
    size = f" · about {megabytes(len(labels) * chapter_bytes)}" if chapter_bytes else ""
    chosen = f"Picked {len(labels)}: {safe(chapter_range(labels), 200)}{size}" if labels else PICK
    return Screen(
        f"{title} · {count(len(picker.chapters), 'chapter', 'chapters')}\n{chosen}{_range_line(picker, range_begun)}",
        keyboards.picker(picker, set(picked), page, in_range=range_begun != "no"),
    )


def _range_line(picker: Picker, begun: Literal["no", "first"] | int) -> str:
    if begun == "no":
        return ""
    return "\n" + (RANGE_FIRST if begun == "first" else RANGE_LAST.format(first=safe(picker.chapters[begun].label, 40)))


def card_screen(picker: Picker) -> Screen:
    """What is known of the title, with its cover as the link preview."""
    manga = picker.details.manga
    lines = [f"<b>{safe(manga.title)}</b>", *_facts(picker.details)]
    if manga.description:
        lines.append(f"\n{safe(manga.description, 500)}")
    if not picker.chapters:
        lines.append("\nThe source has no chapters of it.")
    return Screen("\n".join(lines), keyboards.card(picker), manga.cover_url)


def _facts(details: MangaDetails) -> list[str]:
    manga = details.manga
    facts = {
        "Also": ", ".join(manga.alt_titles[:3]),
        "Authors": ", ".join(manga.authors),
        "Year": str(manga.year or ""),
        "Status": manga.status,
        "Languages": ", ".join(manga.languages),
        "Chapters": str(len(details.chapters)),
        "Source": manga.source,
    }
    return [f"{name}: {safe(value)}" for name, value in facts.items() if value]
