"""Words for people: sentences for error codes, amounts, and text that is safe inside HTML."""

import html
from collections.abc import Iterable, Mapping

from bot.language import isolated, many, mark, say
from tasks.jobs.job import Failure, Missing

SENTENCES = {
    "unknown_source": mark("There is no source “{source}”. /sources lists them."),
    "no_chapters": mark("Name at least one chapter."),
    "too_many_chapters": mark("You asked for {asked} chapters; at most {limit} fit into one job."),
    "too_many_jobs": mark("You have {limit} downloads running, the most at a time. Wait for one, or /cancel it."),
    "source_down": mark("The source {source} does not answer right now. Try again later."),
    "source_busy": mark("The source {source} takes no more requests for {seconds} seconds. Try again after that."),
    "source_paused": mark("The source {source} failed several times in a row. It is asked again in {seconds} seconds."),
    "source_refuses": mark("The source {source} does not accept our login. Whoever runs the bot has to correct it."),
    "guest_limit": mark(
        "MangaDex gives no more chapters to guests for now. Try again tomorrow, or from another source."
    ),
    "source_failed": mark("The source {source} answered with an error and did not say why."),
    "not_found": mark("The source {source} does not know that title or chapter."),
    "no_pages": mark("The source {source} lists this chapter but has no pages of it."),
    "page_gone": mark("the page is gone"),
    "page_refused": mark("the source does not accept our login"),
    "page_unreachable": mark("the page can't be reached"),
    "page_broken": mark("the page is no whole picture"),
    "page_too_large": mark("the page is too large"),
    "page_forbidden": mark("the page's address is not allowed"),
    "nothing_downloaded": mark("Not one page could be had: {cause}"),
    "disk_full": mark("The disk is full. Nothing was kept; try again later."),
    "no_room": mark("The disk has no room: about {needed} MB are needed, {free} MB are free. Try fewer chapters."),
    "storage_down": mark("The finished file could not be stored right now. Try again later."),
    "time_is_up": mark("It took longer than {seconds} seconds and was stopped. Try fewer chapters."),
    "gave_up": mark("It never came to its end in {attempts} attempts. Try again, or fewer chapters."),
    "other_version": mark("It was asked for with another version of the bot. Please ask for it again."),
    "cancelled": mark("Cancelled."),
}
"""For each code of `tasks.errors` that can reach a person; the fields are the error's detail."""
UNKNOWN = mark("Something went wrong. Try again later.")


class _Detail(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


def sentence(code: str, detail: Mapping[str, str | int]) -> str:
    """What to tell a person about an error: plain text, not HTML."""
    values = _Detail(detail)
    if "cause" in detail:
        values["cause"] = sentence(
            str(detail["cause"]), {name: value for name, value in detail.items() if name != "cause"}
        )
    return say(SENTENCES.get(code, UNKNOWN)).format_map(values)


def failure_sentence(failure: Failure) -> str:
    return sentence(failure.code, failure.detail)


def safe(text: str, limit: int = 200) -> str:
    """Any text of others as one line of HTML, cut to `limit` characters before it is escaped."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    cut = one_line if len(one_line) <= limit else f"{one_line[: limit - 1]}…"
    return isolated(html.escape(cut, quote=False))


def is_web_address(address: str | None) -> bool:
    """Whether people can be sent there."""
    return bool(address) and str(address).startswith(("http://", "https://"))


def credit(groups: Iterable[str], source: str) -> str:
    """Who did it and where it is from, each group once, as a line of HTML; empty where neither is known."""
    known = " · ".join(filter(None, [", ".join(dict.fromkeys(groups)), source]))
    return f"👥 {safe(known, 120)}" if known else ""


def chapters_text(labels: str) -> str:
    """`ch 1–3, 5`: chapters by their labels."""
    return say("ch {chapters}", chapters=labels)


def page_count(pages: int) -> str:
    return many("{number} page", "{number} pages", pages)


def megabytes(size: int) -> str:
    """`0.4 MB`, `31 MB`: a size in units of a million bytes, as Telegram counts them; nothing is smaller than `0.1 MB`."""
    return say("{size} MB", size=f"{max(size / 1e6, 0.1):.1f}" if size < 10_000_000 else f"{size / 1e6:.0f}")


def duration(seconds: int) -> str:
    """`45 s`, `3 min`, `2 h 10 min`, rounded up."""
    if seconds < 60:
        return say("{seconds} s", seconds=max(1, seconds))
    minutes = -(-seconds // 60)
    if minutes < 60:
        return say("{minutes} min", minutes=minutes)
    return say("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


def missing_lines(missing: tuple[Missing, ...], limit: int = 6) -> list[str]:
    """A line of HTML for each chapter that lacks something, at most `limit` of them."""
    lines = [_missing_line(one) for one in missing[:limit]]
    if len(missing) > limit:
        more = len(missing) - limit
        lines.append(many("… and {number} more, see manifest.json", "… and {number} more, see manifest.json", more))
    return lines


def _missing_line(one: Missing) -> str:
    reason = safe(failure_sentence(one.failure), 120)
    chapter = chapters_text(safe(one.chapter, 40))
    if not one.pages:
        return f"{chapter}: {reason}"
    pages = ", ".join(str(page) for page in one.pages[:10]) + (" …" if len(one.pages) > 10 else "")
    which = many("page {pages}", "pages {pages}", len(one.pages), pages=pages)
    return f"{chapter}, {which}: {reason}"
