"""What is said of new chapters of a followed title."""

import html
from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter

from bot import keyboards
from bot.delivery.status_message import not_there
from bot.editing import Screen
from bot.language import many, say
from bot.memory.follows import Follow
from bot.memory.parcels import Parcel
from bot.memory.watchers import Watcher
from bot.texts import chapters_text, credit, is_web_address, safe
from tasks.archives.names import chapter_range
from tasks.jobs.job import Job
from tasks.models import Chapter

MOST_LINKS = 5
MOST_LINKS_UNDER_FILE = 3
LONGEST_ADDRESS = 500
CHAPTERS = TypeAdapter(tuple[Chapter, ...])


def notice(follow: Follow, parcel: Parcel, *, again: bool = False) -> Screen:
    """The new chapters, who did them, and a button that gets those which can be had; `again`: it may have been told already."""
    chapters, manga = parcel.chapters, follow.manga
    labels = chapters_text(safe(chapter_range([one.label for one in chapters]), 80))
    lines = [f"🔔 <b>{safe(manga.title, 120)}</b> · {labels} ({len(chapters)})"]
    lines.append(credit((group for one in chapters for group in one.groups), manga.source))
    if parcel.elsewhere:
        lines.append(only_elsewhere(parcel.elsewhere, MOST_LINKS))
    if again:
        lines.append(say("You may have got this already."))
    return Screen("\n".join(lines), keyboards.notice(parcel.request, manga.key))


def only_elsewhere(chapters: Sequence[Chapter], most: int) -> str:
    """A line of HTML: chapters that the source only links to, with their addresses."""
    links = [_link(one) for one in chapters[:most]]
    if len(chapters) > most:
        more = len(chapters) - most
        links.append(many("… and {number} more", "… and {number} more", more))
    return f"↗ {say('Only elsewhere: {chapters}', chapters=', '.join(links))}"


def _link(chapter: Chapter) -> str:
    label, address = chapters_text(safe(chapter.label, 20)), chapter.url or ""
    if not is_web_address(address) or len(address) > LONGEST_ADDRESS:
        return label
    return f'<a href="{html.escape(address)}">{label}</a>'


def under_file(watcher: Watcher) -> str:
    """What the caption of a file that comes as news says besides; maybe nothing."""
    lines = (
        [only_elsewhere(CHAPTERS.validate_json(watcher.elsewhere), MOST_LINKS_UNDER_FILE)] if watcher.elsewhere else []
    )
    if watcher.is_quiet and watcher.redirected:
        lines.append(not_there())
    return "".join(f"\n{line}" for line in lines)


def as_text(elsewhere: tuple[Chapter, ...]) -> str:
    """What a watcher keeps of them."""
    return CHAPTERS.dump_json(elsewhere).decode() if elsewhere else ""


def of_a_follow(screen: Screen, watcher: Watcher, job: Job | None = None) -> Screen:
    """The same, with what can be done about the follow; with the links that else stood under the file of that failed job."""
    if not watcher.follow:
        return screen
    text = f"{screen.text}{under_file(watcher)}" if job else screen.text
    return replace(screen, text=text, keyboard=keyboards.of_a_follow(screen.keyboard, watcher.follow))
