"""Keyboards from values. Telegram takes at most 8 buttons a row and 100 in all; ours stay far below."""

from collections.abc import Sequence

from aiogram.enums import ButtonStyle
from aiogram.types import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup, SwitchInlineQueryChosenChat
from aiogram.utils.keyboard import InlineKeyboardBuilder

from bot import links
from bot.callbacks import (
    CancelJob,
    DownloadPicked,
    FetchMissing,
    GetAgain,
    NoAction,
    OpenResult,
    PickChapters,
    PickRange,
    PickWhat,
    RetryJob,
    ShowCard,
    ShowChapters,
    ShowResults,
    ToggleChapter,
)
from bot.memory.menus import Picker, Results
from bot.memory.shared import title_token
from tasks.models import DownloadRequest, Manga

RESULTS_ON_A_PAGE = 8
CHAPTERS_ON_A_PAGE = 20
CHAPTERS_IN_A_ROW = 4
LABEL_LENGTH = 40


def page_count(items: int, on_a_page: int) -> int:
    return max(1, -(-items // on_a_page))


def results(menu: Results, page: int) -> InlineKeyboardMarkup:
    """A button for each result of that page, and `‹` `›` where there is more than one page."""
    builder = InlineKeyboardBuilder()
    first = page * RESULTS_ON_A_PAGE
    several_sources = len({manga.source for manga in menu.mangas}) > 1
    for place, manga in list(enumerate(menu.mangas))[first : first + RESULTS_ON_A_PAGE]:
        text = _result_label(manga, several_sources)
        builder.row(_button(text, OpenResult(menu=menu.id, place=place).pack()))
    pages = page_count(len(menu.mangas), RESULTS_ON_A_PAGE)
    if pages > 1:
        builder.row(*_pager(page, pages, [ShowResults(menu=menu.id, page=n).pack() for n in range(pages)]))
    return _markup(builder)


def _result_label(manga: Manga, with_source: bool) -> str:
    year = f" ({manga.year})" if manga.year else ""
    source = f" · {manga.source}" if with_source else ""
    return f"{_cut(manga.title)}{year}{source}"


def card(menu: Picker) -> InlineKeyboardMarkup:
    """Under a title: its chapters, and the way back to the results."""
    builder = InlineKeyboardBuilder()
    share_title = _share(links.TITLE, title_token(menu.details.manga))
    if menu.chapters:
        chapters = _button("Chapters", ShowChapters(menu=menu.id, page=0).pack(), ButtonStyle.PRIMARY)
        builder.row(chapters, share_title)
    else:
        builder.row(share_title)
    if menu.results:
        builder.row(_button("‹ Results", ShowResults(menu=menu.results, page=0).pack()))
    return _markup(builder)


def picker(menu: Picker, picked: set[int], page: int, *, in_range: bool = False) -> InlineKeyboardMarkup:
    """The chapters of that page as toggles, then paging, then what picks many, then `Download (N)`."""
    builder = InlineKeyboardBuilder()
    places = range(len(menu.chapters))[page * CHAPTERS_ON_A_PAGE : (page + 1) * CHAPTERS_ON_A_PAGE]
    toggles = [_toggle(menu, place, place in picked) for place in places]
    for start in range(0, len(toggles), CHAPTERS_IN_A_ROW):
        builder.row(*toggles[start : start + CHAPTERS_IN_A_ROW])
    pages = page_count(len(menu.chapters), CHAPTERS_ON_A_PAGE)
    if pages > 1:
        builder.row(*_pager(page, pages, [ShowChapters(menu=menu.id, page=n).pack() for n in range(pages)]))
    builder.row(
        _button("All", PickChapters(menu=menu.id, what=PickWhat.ALL, page=page).pack()),
        _button("Latest", PickChapters(menu=menu.id, what=PickWhat.LATEST, page=page).pack()),
        _button("Range", PickRange(menu=menu.id, page=page).pack(), ButtonStyle.PRIMARY if in_range else None),
        _button("Clear", PickChapters(menu=menu.id, what=PickWhat.NONE, page=page).pack()),
    )
    whole_page = (
        [_button("This page", PickChapters(menu=menu.id, what=PickWhat.PAGE, page=page).pack())] if pages > 1 else []
    )
    builder.row(*whole_page, _button("‹ Title", ShowCard(menu=menu.id).pack()))
    style = ButtonStyle.SUCCESS if picked else None
    builder.row(_button(f"Download ({len(picked)})", DownloadPicked(menu=menu.id).pack(), style))
    return _markup(builder)


def _toggle(menu: Picker, place: int, is_picked: bool) -> InlineKeyboardButton:
    label = _cut(menu.chapters[place].label, 12)
    return _button(f"✅ {label}" if is_picked else label, ToggleChapter(menu=menu.id, place=place).pack())


def cancel(job_ids: Sequence[str], labels: Sequence[str] = ()) -> InlineKeyboardMarkup:
    """A `Cancel` button for each job; with labels, each says which."""
    builder = InlineKeyboardBuilder()
    for n, job_id in enumerate(job_ids):
        text = f"Cancel {_cut(labels[n])}" if labels else "Cancel"
        builder.row(_button(text, CancelJob(job=job_id).pack(), ButtonStyle.DANGER))
    return _markup(builder)


def get_again(requests: Sequence[DownloadRequest]) -> InlineKeyboardMarkup:
    """A `Get again` button for each request, numbered as they are listed."""
    builder = InlineKeyboardBuilder()
    for number, request in enumerate(requests, start=1):
        label = f"Get again {number}" if len(requests) > 1 else "Get again"
        builder.add(_button(label, GetAgain(request=request.key).pack()))
    builder.adjust(2)
    return _markup(builder)


def retry(job_id: str) -> InlineKeyboardMarkup:
    """Asks for all of the job again."""
    return InlineKeyboardMarkup(inline_keyboard=[[_button("Retry", RetryJob(job=job_id).pack())]])


def retry_missing(job_id: str) -> InlineKeyboardMarkup:
    """Asks for what the job's files lack."""
    return InlineKeyboardMarkup(inline_keyboard=[[_button("Retry", FetchMissing(job=job_id).pack())]])


def share(username: str, token: str) -> InlineKeyboardMarkup:
    """Under a delivered file: the same file into another chat, and a link to it."""
    link = CopyTextButton(text=links.link(username, links.FILE, token))
    return InlineKeyboardMarkup(
        inline_keyboard=[[_share(links.FILE, token), InlineKeyboardButton(text="Copy link", copy_text=link)]]
    )


def _share(kind: str, token: str) -> InlineKeyboardButton:
    chosen = SwitchInlineQueryChosenChat(
        query=links.inline(kind, token), allow_user_chats=True, allow_group_chats=True, allow_channel_chats=True
    )
    return InlineKeyboardButton(text="Share", switch_inline_query_chosen_chat=chosen)


def _markup(builder: InlineKeyboardBuilder) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=builder.export())


def _pager(page: int, pages: int, targets: Sequence[str]) -> list[InlineKeyboardButton]:
    nothing = NoAction().pack()
    before = targets[page - 1] if page > 0 else nothing
    after = targets[page + 1] if page + 1 < pages else nothing
    buttons = [_button("‹", before), _button(f"{page + 1} / {pages}", nothing), _button("›", after)]
    if pages > 3:
        buttons = [
            _button("«", targets[0] if page else nothing),
            *buttons,
            _button("»", targets[-1] if page + 1 < pages else nothing),
        ]
    return buttons


def _button(text: str, data: str, style: ButtonStyle | None = None) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data, style=style)


def _cut(text: str, length: int = LABEL_LENGTH) -> str:
    one_line = " ".join(text.split()) or "–"  # Telegram refuses a button without words
    return one_line if len(one_line) <= length else f"{one_line[: length - 1]}…"
