"""What messages say, whatever the titles hold, within Telegram's limits."""

import pytest

from bot import keyboards, texts
from bot.delivery import news, status_message
from bot.handlers.browse import picker_screen
from bot.handlers.cards import card_screen
from bot.handlers.search import results_screen
from bot.language import speaking
from bot.local.telegram.rules import check_caption, check_keyboard, check_text
from bot.memory.follows import Follow
from bot.memory.menus import Picker, Results
from bot.memory.parcels import Parcel
from bot.memory.watchers import Watcher
from tasks import errors
from tasks.jobs.job import ArchiveFile, Failure, Job, JobState, Missing, Progress, Result
from tasks.jobs.store import Place
from tasks.models import Chapter, DownloadRequest, Manga, MangaDetails

ADDRESS = 'https://x.test/?a="&b=<i>' + "x" * 400
AWKWARD = ["<b>x</b> & ../y", "🐈" * 300, "a\u202eb\x00c\nd", "  ", "long " * 90, "&lt;"]


def job(title: str, state: JobState = JobState.DOWNLOADING, chapters: int = 3) -> Job:
    request = DownloadRequest(
        source="demo",
        title=title,
        chapters=tuple(Chapter(id=f"c{n}", number=None, title=title or "x") for n in range(chapters)),
    )
    missing = tuple(
        Missing(chapter_id=f"c{n}", chapter=title, pages=tuple(range(1, 30)), failure=Failure(code="page_gone"))
        for n in range(40)
    )
    file = ArchiveFile(name="x.zip", size=1_900_000, chapters=tuple(title for _ in range(40)), pages=12)
    return Job(
        id="0123456789abcdef",
        state=state,
        request=request,
        requester="telegram:1",
        key="k",
        attempt=1,
        fence=1,
        created_at=0,
        progress=Progress(
            chapters_total=chapters, percent=62, pages_done=31, pages_total=118, resumed_at=60, all_listed=True
        ),
        result=Result(files=(file, file), missing=missing),
        error=Failure(code="nothing_downloaded", detail={"cause": "source_down", "source": title}),
    )


def details(title: str, chapters: int) -> MangaDetails:
    manga = Manga(source="demo", id="m", title=title, alt_titles=(title,) * 9, authors=(title,), description=title * 9)
    return MangaDetails(
        manga=manga, chapters=tuple(Chapter(id=f"c{n}", number=str(n), title=title) for n in range(chapters))
    )


@pytest.mark.parametrize("title", AWKWARD)
def test_every_screen_is_what_telegram_takes(title: str) -> None:
    one = job(title)
    picker = Picker(id="abcdefghijkl", owner=1, details=details(title, 640), results="abcdefghijkl")
    results = Results(
        id="abcdefghijkl",
        owner=1,
        query=title,
        mangas=(picker.details.manga,) * 90,
        silent=(title,),
        refused=(title,),
        answered=("demo",),
    )
    screens = [
        status_message.running(one, None),
        status_message.running(job(title, JobState.QUEUED), Place(3, 90)),
        status_message.running(job(title, JobState.PACKING), None),
        status_message.uploading(one, status_message.Upload(1, 2)),
        status_message.done(one),
        status_message.failed_by_record(one),
        status_message.cancelled(one, title),
        card_screen(picker, "manhwa_local_bot", errand="A" * 16, group_too=True),
        picker_screen(picker, set(range(640)), 31),
        *(results_screen(results, page) for page in (0, 5, 11)),
        results_screen(results.model_copy(update={"mangas": ()}), 0),
    ]
    for screen in screens:
        check_text(screen.text, "HTML")
        if screen.keyboard:
            check_keyboard(screen.keyboard.model_dump(exclude_none=True))
    check_caption(status_message.caption(status_message.sent_file(one, 1), [(1, title)] * 9), "HTML")


@pytest.mark.parametrize("language", ["en", "ar", "ru"])
@pytest.mark.parametrize("title", AWKWARD)
def test_news_fit_into_a_message(title: str, language: str) -> None:
    one = job(title)
    linked = tuple(
        Chapter(id=f"{n}", number=title[:500], groups=(title,), available=False, url=ADDRESS) for n in range(300)
    )
    follow = Follow(manga=details(title, 1).manga, chat_id=1, user_id=1)
    parcel = Parcel(request=one.request, elsewhere=linked)
    watcher = Watcher(
        job_id=one.id, chat_id=1, user_id=1, redirected=True, follow=follow.manga.key, elsewhere=news.as_text(linked)
    )
    with speaking(language):
        screens = [
            news.notice(follow, parcel, again=True),
            news.of_a_follow(status_message.failed_by_record(one), watcher, one),
        ]
        caption = status_message.caption(status_message.sent_file(one, 1)) + news.under_file(watcher)
    for screen in screens:
        check_text(screen.text, "HTML")
        check_keyboard(screen.keyboard and screen.keyboard.model_dump(exclude_none=True))
    check_caption(caption, "HTML")


def test_progress_tells_where_it_is() -> None:
    text = status_message.running(job("Harbour Lights"), None).text
    assert "⬇ Downloading ▰▰▰▰▰▰▱▱▱▱ 62 %" in text
    assert "chapter 1/3" in text
    assert "pages 31/118" in text
    assert "resumed at page 61 of 118" in text
    assert "position 3 · about 2 min" in status_message.running(job("x", JobState.QUEUED), Place(3, 90)).text


def test_a_page_of_the_picker_has_few_buttons() -> None:
    picker = Picker(id="abcdefghijkl", owner=1, details=details("x", 640))
    assert len([b for row in keyboards.picker(picker, set(), 0).inline_keyboard for b in row]) <= 40


def every_error(kind: type[errors.ManhwaError]) -> set[type[errors.ManhwaError]]:
    return {kind}.union(*(every_error(child) for child in kind.__subclasses__()))


def test_every_error_a_person_can_meet_has_a_sentence() -> None:
    groups = {"error", "bad_request", "source_error", "page_error", "job_error", "storage_error"}
    never_shown = {"lease_lost", "gave_way", "file_gone"}
    codes = {kind.code for kind in every_error(errors.ManhwaError)} - groups - never_shown
    assert codes == set(texts.SENTENCES)
    for code in codes:
        assert "{" not in texts.sentence(code, {})


@pytest.mark.parametrize("chapters", [41, 640, 5000])
def test_every_page_is_two_presses_away_or_a_few(chapters: int) -> None:
    picker = Picker(id="abcdefghijkl", owner=1, details=details("x", chapters))
    *rows, back = keyboards.pages(picker).inline_keyboard
    jumps = [b for row in rows for b in row]
    assert [b.text for b in back] == ["‹ Chapters"]
    assert len(jumps) <= 40
    assert jumps[0].text.startswith("0–")
    assert jumps[-1].text.endswith(f"–{chapters - 1}")


def test_a_board_lists_what_fits() -> None:
    one = job("<b>x</b>" * 20)
    watcher = Watcher(job_id=one.id, chat_id=-1, user_id=1, joined={n: f"<i>{n}" * 30 for n in range(9)})
    screen = status_message.board([(one, watcher)] * 10, 7)
    check_text(screen.text, "HTML")
    assert "17 downloads here" in screen.text
    assert "… and 7 more" in screen.text
    check_keyboard(screen.keyboard and screen.keyboard.model_dump(exclude_none=True))
