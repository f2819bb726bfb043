"""What the one status message of a job says, at each stage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot import keyboards
from bot.editing import Screen
from bot.texts import count, duration, failure_sentence, megabytes, missing_lines, safe
from tasks.archives.names import chapter_range
from tasks.jobs.job import ArchiveFile, Job, JobState, Progress
from tasks.jobs.store import Place

CELLS = 10


@dataclass(frozen=True)
class Upload:
    """Which file of how many is on its way to the chat."""

    number: int
    total: int


def title_line(job: Job) -> str:
    labels = [chapter.label for chapter in job.request.chapters]
    return f"📚 <b>{safe(job.request.title, 120)}</b> · ch {safe(chapter_range(labels), 80)} ({len(labels)})"


def running(job: Job, place: Place | None) -> Screen:
    """An open job: where it stands in line, or how far it is."""
    lines = [title_line(job)]
    if job.state is JobState.QUEUED:
        wait = f" · about {duration(place.wait)}" if place and place.wait else ""
        lines.append(f"⏳ Queued · position {place.position}{wait}" if place else "⏳ Queued")
        if job.progress.pages_done:
            lines.append(f"{count(job.progress.pages_done, 'page', 'pages')} kept so far")
    else:
        lines += _progress_lines(job)
    return Screen("\n".join(lines), keyboards.cancel([job.id]))


def uploading(job: Job, upload: Upload) -> Screen:
    which = f" part {upload.number}/{upload.total}" if upload.total > 1 else ""
    size = megabytes(job.result.files[upload.number - 1].size) if job.result else ""
    return Screen(f"{title_line(job)}\n⬆ Uploading{which} · {size}", keyboards.cancel([job.id]))


def done(job: Job) -> Screen:
    result = job.result
    if result is None:
        return Screen(f"{title_line(job)}\n✅ Done")
    size = sum(file.size for file in result.files)
    files = f" · {len(result.files)} parts" if len(result.files) > 1 else ""
    lines = [title_line(job), f"✅ Done · {count(result.pages, 'page', 'pages')} · {megabytes(size)}{files}"]
    if result.missing:
        lines += ["⚠ Missing:", *missing_lines(result.missing)]
    return Screen("\n".join(lines), keyboards.retry_missing(job.id) if result.missing else None)


def unsure(job: Job, numbers: Sequence[int]) -> Screen:
    """Files with these numbers may be in the chat or not."""
    total = len(job.result.files) if job.result else 1
    which = f"part {', '.join(map(str, numbers))}" if total > 1 else "the file"
    warning = f"⚠ Sent, but Telegram's answer was lost · look whether {which} arrived before you try again"
    return Screen(f"{title_line(job)}\n{warning}", keyboards.retry(job.id))


def goes_private(job_id: str) -> Screen:
    """What is left in the group when the rest is told in private."""
    text = "↪ I may not write or send files here, so it goes on in private. Start a chat with me if nothing comes."
    return Screen(text, keyboards.retry(job_id))


def in_private(screen: Screen) -> Screen:
    """The same, where it is told in private though it was asked for in a group."""
    return replace(screen, text=f"{screen.text}\nI may not write where you asked for it, so it comes here.")


def failed(job: Job, reason: str) -> Screen:
    """`reason` is plain text for a person."""
    return Screen(f"{title_line(job)}\n❌ Failed · {safe(reason, 300)}", keyboards.retry(job.id))


def failed_by_record(job: Job) -> Screen:
    return failed(job, failure_sentence(job.error) if job.error else "it is not known why")


def cancelled(job: Job, by: str) -> Screen:
    return Screen(f"{title_line(job)}\n✖ Cancelled by {safe(by or 'somebody', 60)}", keyboards.retry(job.id))


def caption(job: Job, number: int) -> str:
    """Under the `number`th file of the job: title, chapters, pages, size, and what is missing. At most 1024 characters."""
    result = job.result
    if result is None:
        return title_line(job)
    file = result.files[number - 1]
    lines = [
        f"<b>{safe(job.request.title, 120)}</b>",
        f"{_which(file, number, len(result.files))} · {count(file.pages, 'page', 'pages')} · {megabytes(file.size)}",
    ]
    if result.missing:
        lines += ["⚠ Missing:", *missing_lines(result.missing, 4)]
    return "\n".join(lines)


def _which(file: ArchiveFile, number: int, total: int) -> str:
    chapters = f"ch {safe(chapter_range(file.chapters), 80)}"
    return f"part {number}/{total} · {chapters}" if total > 1 else chapters


def _progress_lines(job: Job) -> list[str]:
    progress = job.progress
    bar = f"{_bar(progress.percent)} {progress.percent} %"
    if job.state is JobState.PACKING:
        return [f"📦 Packing {bar}", f"{count(progress.pages_done, 'page', 'pages')} · {megabytes(progress.bytes)}"]
    chapter = f"chapter {min(progress.chapters_done + 1, progress.chapters_total)}/{progress.chapters_total}"
    pages = f"{progress.pages_total}{'' if progress.all_listed else '+'}"
    lines = [f"⬇ Downloading {bar}", f"{chapter} · pages {progress.pages_done}/{pages}", _traffic(progress)]
    if progress.resumed_at:
        lines.append(f"↻ resumed at page {progress.resumed_at + 1} of {pages}")
    return lines


def _traffic(progress: Progress) -> str:
    parts = [megabytes(progress.bytes)]
    if progress.bytes_per_second:
        parts.append(f"{progress.bytes_per_second / 1e6:.1f} MB/s")
    if progress.seconds_left:
        parts.append(f"{duration(progress.seconds_left)} left")
    return " · ".join(parts)


def _bar(percent: int) -> str:
    full = percent * CELLS // 100
    return "▰" * full + "▱" * (CELLS - full)
