"""Words for people: sentences for error codes, amounts, and text that is safe inside HTML."""

import html
from collections.abc import Mapping

from tasks.jobs.job import Failure, Missing

SENTENCES = {
    "unknown_source": "There is no source “{source}”. /sources lists them.",
    "no_chapters": "Name at least one chapter.",
    "too_many_chapters": "That is {asked} chapters; at most {limit} fit into one job.",
    "too_many_jobs": "You have {limit} downloads running, which is the most at a time. Wait for one, or /cancel it.",
    "source_down": "The source {source} does not answer right now. Try again later.",
    "source_failed": "The source {source} answered with an error and did not say why.",
    "not_found": "The source {source} does not know that title or chapter.",
    "no_pages": "The source {source} lists this chapter but has no pages of it.",
    "page_gone": "the page is gone",
    "page_unreachable": "the page can't be reached",
    "page_broken": "the page is no whole picture",
    "page_too_large": "the page is too large",
    "page_forbidden": "the page's address is not allowed",
    "nothing_downloaded": "Not one page could be had: {cause}",
    "disk_full": "The disk is full. Nothing was kept; try again later.",
    "no_room": "The disk has no room for it: about {needed} MB are needed, {free} MB are free. Try fewer chapters.",
    "time_is_up": "It took longer than {seconds} seconds and was stopped. Try fewer chapters.",
    "gave_up": "It was started {attempts} times and never came to its end. Try again, or fewer chapters.",
    "cancelled": "Cancelled.",
}
"""For each code of `tasks.errors` that can reach a person; the fields are the error's detail."""
UNKNOWN = "Something went wrong. Try again later."


class _Detail(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?" if key != "source" else "it came from"


def sentence(code: str, detail: Mapping[str, str | int]) -> str:
    """What to tell a person about an error: plain text, not HTML."""
    values = _Detail(detail)
    if "cause" in detail:
        cause = sentence(str(detail["cause"]), {name: value for name, value in detail.items() if name != "cause"})
        values["cause"] = cause[0].lower() + cause[1:]
    return SENTENCES.get(code, UNKNOWN).format_map(values)


def failure_sentence(failure: Failure) -> str:
    return sentence(failure.code, failure.detail)


def safe(text: str, limit: int = 200) -> str:
    """Any text as one line of HTML, cut to `limit` characters before it is escaped."""
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return html.escape(one_line if len(one_line) <= limit else f"{one_line[: limit - 1]}…", quote=False)


def count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def megabytes(size: int) -> str:
    """`0.4 MB`, `31 MB`: a size in units of a million bytes, as Telegram counts them."""
    return f"{size / 1e6:.1f} MB" if size < 10_000_000 else f"{size / 1e6:.0f} MB"


def duration(seconds: int) -> str:
    """`45 s`, `3 min`, `2 h 10 min`, rounded up."""
    if seconds < 60:
        return f"{max(1, seconds)} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def missing_lines(missing: tuple[Missing, ...], limit: int = 6) -> list[str]:
    """A line of HTML for each chapter that lacks something, at most `limit` of them."""
    lines = [_missing_line(one) for one in missing[:limit]]
    if len(missing) > limit:
        lines.append(f"… and {len(missing) - limit} more, see manifest.json")
    return lines


def _missing_line(one: Missing) -> str:
    reason = safe(failure_sentence(one.failure), 120)
    if not one.pages:
        return f"ch {safe(one.chapter, 40)}: {reason}"
    pages = ", ".join(str(page) for page in one.pages[:10]) + (" …" if len(one.pages) > 10 else "")
    return f"ch {safe(one.chapter, 40)}, {'page' if len(one.pages) == 1 else 'pages'} {pages}: {reason}"
