"""What the one status message of a job says, at each stage, and what stands under a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot import keyboards
from bot.editing import Screen
from bot.language import many, mark, say
from bot.memory.shared import SentFile
from bot.memory.watchers import Watcher
from bot.texts import (
    chapters_text,
    credit,
    duration,
    failure_sentence,
    megabytes,
    missing_lines,
    page_count,
    safe,
    sentence,
)
from tasks.archives.names import chapter_range
from tasks.errors import JobError
from tasks.jobs.job import Job, JobState, Progress
from tasks.jobs.store import Place
from tasks.models import DownloadRequest

CELLS = 10
MOST_NAMES = 5
ALL_UP = 100
STATES = {
    JobState.DOWNLOADING: mark("downloading"),
    JobState.PACKING: mark("packing"),
    JobState.READY: mark("uploading"),
}


@dataclass(frozen=True)
class Upload:
    """Which file of how many is on its way to the chat, and how much of it is up, where that is known."""

    number: int
    total: int
    percent: int | None = None


def what(request: DownloadRequest, title_length: int = 120, chapters_length: int = 80) -> str:
    """Title and chapters of a request, as HTML."""
    labels = chapter_range([chapter.label for chapter in request.chapters])
    return f"<b>{safe(request.title, title_length)}</b> · {chapters_text(safe(labels, chapters_length))}"


def title_line(job: Job) -> str:
    return f"📚 {what(job.request)} ({len(job.request.chapters)})"


def running(job: Job, place: Place | None, watcher: Watcher | None = None) -> Screen:
    """An open job: where it stands in line, or how far it is; in a group also who waits for it."""
    lines = [title_line(job)]
    if job.state is JobState.QUEUED:
        lines.append(f"⏳ {_queued(place)}")
        if job.progress.pages_done:
            kept = job.progress.pages_done
            lines.append(many("{number} page kept so far", "{number} pages kept so far", kept))
    else:
        lines += _progress_lines(job)
    return _with_people("\n".join(lines), job, watcher)


def on_the_board(job: Job, watcher: Watcher) -> Screen:
    """While several downloads of the chat share one message."""
    return _with_people(f"{title_line(job)}\n📋 {say('Told in one message with the others here')}", job, watcher)


def _with_people(text: str, job: Job, watcher: Watcher | None) -> Screen:
    if watcher is None or watcher.chat_id > 0:
        return Screen(text, keyboards.cancel([job.id]))
    text += f"\n👥 {say('For {names}', names=people(watcher))}"
    return Screen(text, keyboards.cancel_or_join([job.id]))


def people(watcher: Watcher) -> str:
    """Names of those who wait, as HTML."""
    names = [safe(name, 40) for name in watcher.joined.values()]
    more = f" +{len(names) - MOST_NAMES}" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _queued(place: Place | None) -> str:
    if place is None:
        return say("Queued")
    if place.wait:
        return say("Queued · position {position} · about {wait}", position=place.position, wait=duration(place.wait))
    return say("Queued · position {position}", position=place.position)


def board(jobs: Sequence[tuple[Job, Watcher]], more: int) -> Screen:
    """One message for several open jobs of a chat; `more` are not listed."""
    total = len(jobs) + more
    lines = [f"📋 <b>{many('{number} download here', '{number} downloads here', total)}</b>"]
    lines += [f"{n}. {brief(job)} · {people(watcher)}" for n, (job, watcher) in enumerate(jobs, start=1)]
    if more:
        lines.append(many("… and {number} more", "… and {number} more", more))
    return Screen("\n".join(lines), keyboards.cancel_or_join([job.id for job, _ in jobs]))


def brief(job: Job, place: Place | None = None) -> str:
    """A job in a line, as HTML."""
    title = what(job.request, 60, 40)
    if job.state is JobState.QUEUED:
        return f"⏳ {title} · {_queued(place)}"
    if job.state is JobState.READY:
        return f"⬆ {title} · {say(STATES[job.state])}"
    return f"⬇ {title} · {say(STATES.get(job.state, ''))} {job.progress.percent} %"


def uploading(job: Job, upload: Upload) -> Screen:
    size = megabytes(job.result.files[upload.number - 1].size) if job.result else ""
    if upload.total > 1:
        doing = say("Uploading part {number}/{total} · {size}", number=upload.number, total=upload.total, size=size)
    else:
        doing = say("Uploading · {size}", size=size)
    lines = [title_line(job), f"⬆ {doing}"]
    if upload.percent is not None:
        lines.append(f"{_bar(upload.percent)} {upload.percent} %")
    if upload.percent == ALL_UP:
        lines.append(f"⏳ {say('All of it is up · waiting for Telegram')}")
    return Screen("\n".join(lines), keyboards.cancel([job.id]))


def done(job: Job) -> Screen:
    result = job.result
    if result is None:
        return Screen(f"{title_line(job)}\n✅ {say('Done')}")
    size = sum(file.size for file in result.files)
    facts = [say("Done"), page_count(result.pages), megabytes(size)]
    if len(result.files) > 1:
        facts.append(many("{number} part", "{number} parts", len(result.files)))
    if result.saved > 0:
        facts.append(say("{size} saved", size=megabytes(result.saved)))
    lines = [title_line(job), f"✅ {' · '.join(facts)}"]
    if result.missing:
        lines += [f"⚠ {say('Missing:')}", *missing_lines(result.missing)]
    return Screen("\n".join(lines), keyboards.retry_missing(job.id) if result.missing else None)


def with_elsewhere(screen: Screen, job: Job) -> Screen:
    """The same, and a way to other sources where they may have what the job lacks."""
    return replace(screen, keyboard=keyboards.with_elsewhere(screen.keyboard, job.id)) if job.lacking else screen


def unsure(job: Job, numbers: Sequence[int]) -> Screen:
    """Files with these numbers may be in the chat or not."""
    if job.result and len(job.result.files) > 1:
        parts = ", ".join(map(str, numbers))
        warning = say(
            "Sent, but Telegram's answer was lost · look whether part {parts} arrived before you try again", parts=parts
        )
    else:
        warning = say("Sent, but Telegram's answer was lost · look whether the file arrived before you try again")
    return Screen(f"{title_line(job)}\n⚠ {warning}", keyboards.retry(job.id))


def goes_private(job_id: str) -> Screen:
    """What is left in the group when the rest is told in private."""
    text = say("I may not write or send files here, so it goes on in private. Start a chat with me if nothing comes.")
    return Screen(f"↪ {text}", keyboards.retry(job_id))


def in_private(screen: Screen) -> Screen:
    """The same, where it is told in private though it was asked for in a group."""
    return replace(screen, text=f"{screen.text}\n{not_there()}")


def not_there() -> str:
    """Why it is told in private."""
    return say("I may not write where you asked for it, so it comes here.")


def failed(job: Job, reason: str) -> Screen:
    """`reason` is plain text for a person."""
    return Screen(
        f"{title_line(job)}\n❌ {say('Failed · {reason}', reason=safe(reason, 300))}", keyboards.retry(job.id)
    )


def failed_by_record(job: Job) -> Screen:
    return failed(job, failure_sentence(job.error) if job.error else say("it is not known why"))


def refused(error: JobError) -> Screen:
    """For a job of which no more than that is known."""
    return Screen(f"❌ {say('Failed · {reason}', reason=safe(sentence(error.code, error.detail), 300))}")


def cancelled(job: Job, by: str) -> Screen:
    name = safe(by, 60) or say("somebody")
    return Screen(f"{title_line(job)}\n✖ {say('Cancelled by {name}', name=name)}", keyboards.retry(job.id))


def sent_file(job: Job, number: int, file_id: str = "") -> SentFile:
    """What is known of the `number`th file of a ready job."""
    files = job.result.files if job.result else ()
    groups = dict.fromkeys(group for chapter in job.request.chapters for group in chapter.groups)
    return SentFile(
        file_id=file_id,
        title=job.request.title,
        file=files[number - 1],
        number=number,
        total=len(files),
        missing=job.result.missing if job.result else (),
        groups=tuple(groups),
        source=job.request.source,
    )


def caption(sent: SentFile, others: Sequence[tuple[int, str]] = ()) -> str:
    """Under a file: title, chapters, pages, size, groups and source, and what is missing. At most 1024 characters.

    `others` wait for it besides who is answered: ids and names, who are told by being named.
    """
    file = sent.file
    chapters = chapters_text(safe(chapter_range(file.chapters), 80))
    if sent.total > 1:
        part = say("part {number}/{total}", number=sent.number, total=sent.total)
        chapters = f"{part} · {chapters}"
    lines = [
        f"<b>{safe(sent.title, 120)}</b>",
        f"{chapters} · {page_count(file.pages)} · {megabytes(file.size)}",
    ]
    if by := credit(sent.groups, sent.source):
        lines.append(by)
    if sent.missing:
        lines += [f"⚠ {say('Missing:')}", *missing_lines(sent.missing, 3)]
    if others:
        names = ", ".join(f'<a href="tg://user?id={who}">{safe(name, 30)}</a>' for who, name in others[:MOST_NAMES])
        lines.append(say("For {names}", names=names))
    return "\n".join(lines)


def _progress_lines(job: Job) -> list[str]:
    progress = job.progress
    bar = f"{_bar(progress.percent)} {progress.percent} %"
    if job.state is JobState.PACKING:
        return [
            f"📦 {say('Packing')} {bar}",
            f"{page_count(progress.pages_done)} · {megabytes(progress.bytes)}",
        ]
    number, total = min(progress.chapters_done + 1, progress.chapters_total), progress.chapters_total
    pages = f"{progress.pages_total}{'' if progress.all_listed else '+'}"
    where = say(
        "chapter {chapter}/{chapters} · pages {page}/{pages}",
        chapter=number,
        chapters=total,
        page=progress.pages_done,
        pages=pages,
    )
    lines = [f"⬇ {say('Downloading')} {bar}", where, _traffic(progress)]
    if progress.resumed_at:
        lines.append(f"↻ {say('resumed at page {page} of {pages}', page=progress.resumed_at + 1, pages=pages)}")
    return lines


def _traffic(progress: Progress) -> str:
    parts = [megabytes(progress.bytes)]
    if progress.bytes_per_second:
        parts.append(say("{speed} MB/s", speed=f"{progress.bytes_per_second / 1e6:.1f}"))
    if progress.seconds_left:
        parts.append(say("{time} left", time=duration(progress.seconds_left)))
    return " · ".join(parts)


def _bar(percent: int) -> str:
    full = percent * CELLS // 100
    return "▰" * full + "▱" * (CELLS - full)
