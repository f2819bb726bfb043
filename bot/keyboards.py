"""Keyboards from values. Telegram takes at most 8 buttons a row and 100 in all; ours stay far below."""

from collections.abc import Sequence

from aiogram.enums import ButtonStyle
from aiogram.filters.callback_data import CallbackData
from aiogram.types import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup, SwitchInlineQueryChosenChat
from aiogram.utils.keyboard import InlineKeyboardBuilder

from bot import editions, links
from bot.callbacks import (
    AtNews,
    CancelJob,
    ChangeFollow,
    ChangeMuted,
    ChooseSetting,
    DownloadPicked,
    Edition,
    ExportFollows,
    FetchMissing,
    FindElsewhere,
    FollowChange,
    FollowTitle,
    GetAgain,
    JoinJob,
    MutedChange,
    NoAction,
    OpenResult,
    PickChapters,
    PickEdition,
    PickRange,
    PickWhat,
    RetryJob,
    Setting,
    ShowCard,
    ShowChapters,
    ShowEditions,
    ShowFollow,
    ShowFollows,
    ShowMuted,
    ShowPages,
    ShowResults,
    ShowSetting,
    ShowSettings,
    ToggleChapter,
)
from bot.language import language_name, say
from bot.memory.menus import Picker, Results
from bot.texts import is_web_address
from tasks.models import Chapter, DownloadRequest, Manga

RESULTS_ON_A_PAGE = 8
CHAPTERS_ON_A_PAGE = 20
CHAPTERS_IN_A_ROW = 4
MOST_PAGES_SHOWN = 36
MOST_CHOICES = 30
LABEL_LENGTH = 40


def page_count(items: int, on_a_page: int) -> int:
    return max(1, -(-items // on_a_page))


def results(menu: Results, page: int) -> InlineKeyboardMarkup:
    """A button for each result of that page, and `‹` `›` where there is more than one page."""
    builder = InlineKeyboardBuilder()
    first = page * RESULTS_ON_A_PAGE
    several_sources = len({manga.source for manga in menu.mangas}) > 1
    for place in menu.places[first : first + RESULTS_ON_A_PAGE]:
        text = _result_label(menu.mangas[place], several_sources)
        builder.row(_button(text, OpenResult(menu=menu.id, place=place)))
    pages = page_count(len(menu.mangas), RESULTS_ON_A_PAGE)
    if pages > 1:
        builder.row(*_pager(page, [ShowResults(menu=menu.id, page=n) for n in range(pages)], NoAction()))
    return _markup(builder)


def _result_label(manga: Manga, with_source: bool) -> str:
    year = f" ({manga.year})" if manga.year else ""
    source = f" · {manga.source}" if with_source else ""
    return f"{_cut(manga.title)}{year}{source}"


def card(
    menu: Picker, username: str, *, errand: str = "", group_too: bool = False, followed: bool = False
) -> InlineKeyboardMarkup:
    """Under a title: its chapters, following and sharing it, and the way back to the results.

    `errand` is a token for picking in private what comes here; `group_too` offers to open it in a group; it may be
    `followed` here.
    """
    builder = InlineKeyboardBuilder()
    token = menu.details.manga.key
    if menu.chapters:
        builder.row(_button(say("Chapters"), ShowChapters(menu=menu.id, page=0), ButtonStyle.PRIMARY))
    if menu.chapters and errand:
        address = links.link(username, links.Kind.ERRAND, errand)
        builder.row(InlineKeyboardButton(text=say("Pick in private"), url=address))
    copy = CopyTextButton(text=links.link(username, links.Kind.TITLE, token))
    follow = _button(f"✓ {say('Following')}" if followed else say("Follow"), FollowTitle(menu=menu.id))
    builder.row(follow, _share(links.Kind.TITLE, token))
    builder.row(InlineKeyboardButton(text=say("Copy link"), copy_text=copy))
    if group_too:
        address = links.in_a_group(username, links.Kind.TITLE, token)
        builder.row(InlineKeyboardButton(text=say("Open in a group"), url=address))
    if menu.results:
        builder.row(_button(say("‹ Results"), ShowResults(menu=menu.results, page=0)))
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
        jump = ShowPages(menu=menu.id) if pages > 2 else NoAction()
        builder.row(*_pager(page, [ShowChapters(menu=menu.id, page=n) for n in range(pages)], jump))
    builder.row(
        _button(say("All"), PickChapters(menu=menu.id, what=PickWhat.ALL, page=page)),
        _button(say("Latest"), PickChapters(menu=menu.id, what=PickWhat.LATEST, page=page)),
        _button(say("Range"), PickRange(menu=menu.id, page=page), ButtonStyle.PRIMARY if in_range else None),
        _button(say("Clear"), PickChapters(menu=menu.id, what=PickWhat.NONE, page=page)),
    )
    if choices := _editions(menu):
        builder.row(*choices)
    this_page = _button(say("This page"), PickChapters(menu=menu.id, what=PickWhat.PAGE, page=page))
    share = [_share(links.Kind.PICKER, menu.id)] if picked else []
    builder.row(*([this_page] if pages > 1 else []), *share, _button(say("‹ Title"), ShowCard(menu=menu.id)))
    style = ButtonStyle.SUCCESS if picked else None
    builder.row(_button(say("Download ({count})", count=len(picked)), DownloadPicked(menu=menu.id), style))
    return _markup(builder)


def _toggle(menu: Picker, place: int, is_picked: bool) -> InlineKeyboardButton:
    chapter = menu.chapters[place]
    label = _cut(chapter.label, 12)
    if not chapter.available:
        return _elsewhere(menu, place, chapter, label)
    return _button(f"✅ {label}" if is_picked else label, ToggleChapter(menu=menu.id, place=place))


def _elsewhere(menu: Picker, place: int, chapter: Chapter, label: str) -> InlineKeyboardButton:
    """A chapter that can't be had here: where people read it, or a button that says so."""
    if is_web_address(chapter.url):
        return InlineKeyboardButton(text=f"{label} ↗", url=chapter.url)
    return _button(f"🚫 {label}", ToggleChapter(menu=menu.id, place=place))


def _editions(menu: Picker) -> list[InlineKeyboardButton]:
    """Language and group, where there is a choice."""
    chapters, buttons = menu.details.chapters, []
    if menu.language and len(editions.languages(chapters)) > 1:
        label = f"🌐 {_cut(language_name(menu.language), 20)}"
        buttons.append(_button(label, ShowEditions(menu=menu.id, what=Edition.LANGUAGE)))
    if len(editions.groups(chapters, menu.language)) > 1:
        label = f"👥 {_cut(menu.group or say('Any group'), 20)}"
        buttons.append(_button(label, ShowEditions(menu=menu.id, what=Edition.GROUP)))
    return buttons


def pages(menu: Picker) -> InlineKeyboardMarkup:
    """A button for each page of the chapters, or for every few where there are many, by its first and last chapter."""
    builder = InlineKeyboardBuilder()
    number = page_count(len(menu.chapters), CHAPTERS_ON_A_PAGE)
    step = page_count(number, MOST_PAGES_SHOWN)
    for page in range(0, number, step):
        first = menu.chapters[page * CHAPTERS_ON_A_PAGE].label
        last = menu.chapters[min((page + step) * CHAPTERS_ON_A_PAGE, len(menu.chapters)) - 1].label
        builder.add(_button(f"{_cut(first, 8)}–{_cut(last, 8)}", ShowChapters(menu=menu.id, page=page)))
    builder.adjust(4)
    builder.row(_button(say("‹ Chapters"), ShowChapters(menu=menu.id, page=0)))
    return _markup(builder)


def languages(menu: Picker) -> InlineKeyboardMarkup:
    """The languages there are chapters in."""
    names = [language_name(code) for code in editions.languages(menu.details.chapters)]
    chosen = language_name(menu.language or "")
    return _choices(menu, Edition.LANGUAGE, names, chosen, ())


def groups(menu: Picker) -> InlineKeyboardMarkup:
    """The scanlation groups that did chapters in the language of the picker."""
    names = editions.groups(menu.details.chapters, menu.language)
    return _choices(menu, Edition.GROUP, names, menu.group, [(-1, say("Any group"))])


def _choices(
    menu: Picker, what: Edition, names: Sequence[str], chosen: str | None, more: Sequence[tuple[int, str]]
) -> InlineKeyboardMarkup:
    builder = InlineKeyboardBuilder()
    for place, name in [*enumerate(names[:MOST_CHOICES]), *more]:
        is_chosen = name == chosen or (chosen is None and place < 0)
        builder.add(_button(_chosen(name, is_chosen), PickEdition(menu=menu.id, what=what, place=place)))
    builder.adjust(2)
    builder.row(_button(say("‹ Chapters"), ShowChapters(menu=menu.id, page=0)))
    return _markup(builder)


def settings(whose: int, shown: Sequence[tuple[Setting, str]]) -> InlineKeyboardMarkup:
    """A button for each setting with what is chosen."""
    builder = InlineKeyboardBuilder()
    for name, label in shown:
        builder.row(_button(label, ShowSetting(whose=whose, name=name)))
    return _markup(builder)


def setting(whose: int, name: Setting, choices: Sequence[tuple[str, bool]], usual: str) -> InlineKeyboardMarkup:
    """The choices of a setting, each with whether it is chosen; `usual` is the label of taking a choice back."""
    builder = InlineKeyboardBuilder()
    for place, (label, is_chosen) in enumerate(choices):
        builder.add(_button(_chosen(label, is_chosen), ChooseSetting(whose=whose, name=name, place=place)))
    nothing_chosen = not any(is_chosen for _, is_chosen in choices)
    builder.add(_button(_chosen(usual, nothing_chosen), ChooseSetting(whose=whose, name=name, place=-1)))
    builder.adjust(2)
    builder.row(_button(say("‹ Settings"), ShowSettings(whose=whose)))
    return _markup(builder)


def _chosen(label: str, is_chosen: bool) -> str:
    return f"✅ {_cut(label)}" if is_chosen else _cut(label)


def cancel(job_ids: Sequence[str], labels: Sequence[str] = ()) -> InlineKeyboardMarkup:
    """A `Cancel` button for each job; with labels, each says which."""
    builder = InlineKeyboardBuilder()
    for n, job_id in enumerate(job_ids):
        text = f"{say('Cancel')} {_cut(labels[n])}" if labels else say("Cancel")
        builder.row(_button(text, CancelJob(job=job_id), ButtonStyle.DANGER))
    return _markup(builder)


def cancel_or_join(job_ids: Sequence[str]) -> InlineKeyboardMarkup:
    """In a group: `Cancel` and `Join` for each job, numbered where there are several."""
    builder = InlineKeyboardBuilder()
    for number, job_id in enumerate(job_ids, start=1):
        which = f" {number}" if len(job_ids) > 1 else ""
        cancel_it = _button(f"{say('Cancel')}{which}", CancelJob(job=job_id), ButtonStyle.DANGER)
        builder.row(cancel_it, _button(f"{say('Join')}{which}", JoinJob(job=job_id)))
    return _markup(builder)


def get_again(requests: Sequence[DownloadRequest]) -> InlineKeyboardMarkup:
    """A `Get again` button for each request, numbered as they are listed."""
    builder = InlineKeyboardBuilder()
    for number, request in enumerate(requests, start=1):
        label = f"{say('Get again')} {number}" if len(requests) > 1 else say("Get again")
        builder.add(_button(label, GetAgain(request=request.key)))
    builder.adjust(2)
    return _markup(builder)


def retry(job_id: str) -> InlineKeyboardMarkup:
    """Asks for all of the job again."""
    return InlineKeyboardMarkup(inline_keyboard=[[_button(say("Retry"), RetryJob(job=job_id))]])


def retry_missing(job_id: str) -> InlineKeyboardMarkup:
    """Asks for what the job's files lack."""
    return InlineKeyboardMarkup(inline_keyboard=[[_button(say("Retry"), FetchMissing(job=job_id))]])


def with_elsewhere(keyboard: InlineKeyboardMarkup | None, job_id: str) -> InlineKeyboardMarkup:
    """The same, and a button that looks for what the job lacks in other sources."""
    rows = keyboard.inline_keyboard if keyboard else []
    return InlineKeyboardMarkup(inline_keyboard=[*rows, [_button(say("Other sources"), FindElsewhere(job=job_id))]])


def of_a_follow(keyboard: InlineKeyboardMarkup | None, key: str) -> InlineKeyboardMarkup:
    """The same, and what can be done about the follow of that title."""
    rows = keyboard.inline_keyboard if keyboard else []
    return InlineKeyboardMarkup(inline_keyboard=[*rows, follow_row(key)])


def with_retry_missing(keyboard: InlineKeyboardMarkup, job_id: str) -> InlineKeyboardMarkup:
    """The same, and a button that asks for what the job's files lack."""
    return InlineKeyboardMarkup(inline_keyboard=[*keyboard.inline_keyboard, *retry_missing(job_id).inline_keyboard])


def share(username: str, token: str) -> InlineKeyboardMarkup:
    """Under a delivered file: the same file into another chat, and a link to it."""
    copy = CopyTextButton(text=links.link(username, links.Kind.FILE, token))
    copy_link = InlineKeyboardButton(text=say("Copy link"), copy_text=copy)
    return InlineKeyboardMarkup(inline_keyboard=[[_share(links.Kind.FILE, token), copy_link]])


def follows(shown: Sequence[tuple[str, str]], page: int, pages: int) -> InlineKeyboardMarkup:
    """A button for each followed title, told by its key and label, and what concerns all of them."""
    builder = InlineKeyboardBuilder()
    for key, label in shown:
        builder.row(_button(_cut(label), ShowFollow(title=key)))
    if pages > 1:
        builder.row(*_pager(page, [ShowFollows(page=n) for n in range(pages)], NoAction()))
    muted = _button(f"🌙 {say('Muted hours')}", ChangeMuted(what=MutedChange.SHOW))
    builder.row(*([muted, _button(say("Export"), ExportFollows())] if shown else [muted]))
    return _markup(builder)


def follow(key: str, changes: Sequence[tuple[FollowChange, str]], *, paused: bool) -> InlineKeyboardMarkup:
    """How a title is followed: a button for each thing that can be changed."""
    builder = InlineKeyboardBuilder()
    for what, label in changes:
        builder.row(_button(_cut(label), ChangeFollow(title=key, what=what)))
    builder.row(
        _pause(ChangeFollow, key, paused=paused),
        _button(say("Unfollow"), ChangeFollow(title=key, what=FollowChange.UNFOLLOW), ButtonStyle.DANGER),
    )
    builder.row(_button(say("‹ Following"), ShowFollows(page=0)))
    return _markup(builder)


def _pause(kind: type[ChangeFollow | AtNews], key: str, *, paused: bool) -> InlineKeyboardButton:
    """Pauses what comes of that title, or lets it go on."""
    if paused:
        return _button(f"▶ {say('Go on')}", kind(title=key, what=FollowChange.RESUME))
    return _button(f"⏸ {say('Pause')}", kind(title=key, what=FollowChange.PAUSE))


def muted(begins: str, ends: str, clock: str, *, on: bool) -> InlineKeyboardMarkup:
    """The hours in which nothing comes by itself, each with a way to make it earlier or later."""
    builder = InlineKeyboardBuilder()
    for label, earlier, later in (
        (say("From {time}", time=begins), MutedChange.BEGINS_EARLIER, MutedChange.BEGINS_LATER),
        (say("Until {time}", time=ends), MutedChange.ENDS_EARLIER, MutedChange.ENDS_LATER),
        (say("It is {time}", time=clock), MutedChange.CLOCK_BACK, MutedChange.CLOCK_ON),
    ):
        builder.row(
            _button("−", ChangeMuted(what=earlier)), _button(label, NoAction()), _button("+", ChangeMuted(what=later))
        )
    switch = say("Switch off") if on else say("Switch on")
    builder.row(_button(switch, ChangeMuted(what=MutedChange.SWITCH), None if on else ButtonStyle.PRIMARY))
    builder.row(_button(say("‹ Following"), ShowFollows(page=0)))
    return _markup(builder)


def without_news(keyboard: InlineKeyboardMarkup | None, row: Sequence[InlineKeyboardButton]) -> InlineKeyboardMarkup:
    """The same with that row in the place of the one that `follow_row` made."""
    prefix = f"{AtNews.__prefix__}:"
    others = keyboard.inline_keyboard if keyboard else []
    kept = [one for one in others if not any((button.callback_data or "").startswith(prefix) for button in one)]
    return InlineKeyboardMarkup(inline_keyboard=[*kept, *([list(row)] if row else [])])


def follow_row(key: str, *, paused: bool = False) -> list[InlineKeyboardButton]:
    """Under new chapters of a followed title."""
    return [
        _pause(AtNews, key, paused=paused),
        _button(f"🌙 {say('Muted hours')}", ShowMuted()),
        _button(say("Unfollow"), AtNews(title=key, what=FollowChange.UNFOLLOW)),
    ]


def notice(request: DownloadRequest | None, key: str) -> InlineKeyboardMarkup:
    """Under the notice of new chapters: `Get` for those that can be had."""
    get = [[_button(say("Get"), GetAgain(request=request.key), ButtonStyle.SUCCESS)]] if request else []
    return InlineKeyboardMarkup(inline_keyboard=[*get, follow_row(key)])


def open_link(label: str, address: str) -> InlineKeyboardMarkup:
    """One button that opens an address."""
    return InlineKeyboardMarkup(inline_keyboard=[[InlineKeyboardButton(text=label, url=address)]])


def _share(kind: links.Kind, token: str) -> InlineKeyboardButton:
    chosen = SwitchInlineQueryChosenChat(
        query=links.inline(kind, token), allow_user_chats=True, allow_group_chats=True, allow_channel_chats=True
    )
    return InlineKeyboardButton(text=say("Share"), switch_inline_query_chosen_chat=chosen)


def _markup(builder: InlineKeyboardBuilder) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(inline_keyboard=builder.export())


def _pager(page: int, targets: Sequence[CallbackData], counter: CallbackData) -> list[InlineKeyboardButton]:
    """`«` `‹` page number `›` `»`, where `counter` is what a press of the number does."""
    nothing, last = NoAction(), len(targets) - 1
    before = targets[page - 1] if page > 0 else nothing
    after = targets[page + 1] if page < last else nothing
    buttons = [_button("‹", before), _button(f"{page + 1} / {len(targets)}", counter), _button("›", after)]
    if last < 3:
        return buttons
    first_page = _button("«", targets[0] if page else nothing)
    return [first_page, *buttons, _button("»", targets[-1] if page < last else nothing)]


def _button(text: str, data: CallbackData, style: ButtonStyle | None = None) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack(), style=style)


def _cut(text: str, length: int = LABEL_LENGTH) -> str:
    one_line = " ".join(text.split()) or "–"  # Telegram refuses a button without words
    return one_line if len(one_line) <= length else f"{one_line[: length - 1]}…"
