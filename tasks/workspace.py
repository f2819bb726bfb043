"""Every path below `DATA_DIR/jobs` and `DATA_DIR/chapters`: one folder for each job, and nothing of a job outside it.

Machines may share it or have one each; `DATA_DIR/disk` has a name by which those who share it know that they do.

<job id>/pages/<chapter place>/                  whole, checked pages, see page_folder.py; anything ending in .part is not
<job id>/pages/<n>.<fence>.zip                   the nth archive while it grows, if pages are put straight into it
<job id>/made/<step>/<chapter place>/<page>[-<piece>].<type>   pages in another form; made again when another worker packs
<job id>/files/<name>.zip                        finished archives

Below `chapters`, for all jobs:
<key>/                                           a whole chapter, see cache.py; a folder ending in .part is not, or not any more
"""

import errno
import re
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathvalidate import sanitize_filename

from tasks.page_folder import PageFolder
from tasks.settings import TaskSettings

JOB_ID = re.compile(r"[0-9a-f]{16}")
NAME_BYTES = 200
"""Longest file or folder name we make; file systems end at 255 bytes, and `.part` and a number may follow."""

NO_LINKS = {errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS}
"""What a disk without links answers."""
KEPT_FREE = 100_000_000
"""Bytes of the disk that no job may count on: records and logs live there as well."""
FIRST_GUESS_OF_A_CHAPTER = 5_000_000
"""Bytes, before any job has finished; low, as a guess too high refuses jobs that would fit."""


def needed_bytes(chapters: int, usual: int) -> int:
    """What has to be free for so many chapters; `usual` are the bytes of one, going by earlier jobs (0 = not known)."""
    # Twice: what can't be put into its archive at once is written once more.
    return 2 * chapters * (usual or FIRST_GUESS_OF_A_CHAPTER) + KEPT_FREE


def sizes(files: Iterable[Path]) -> dict[int, int]:
    """Bytes of these files by inode: one of several names is there once."""
    found = [file.stat() for file in files]
    return {one.st_ino: one.st_size for one in found}


def safe_name(text: str, fallback: str, limit: int = NAME_BYTES) -> str:
    """A file name that says `text` on every system: no separators, control or reserved names, at most `limit` bytes."""
    name = " ".join(sanitize_filename(text, replacement_text=" ", platform="universal").split()).strip(". ")
    cut = name.encode()[:limit].decode(errors="ignore").strip(". ")
    return cut or fallback


@dataclass(frozen=True)
class JobFolder:
    """The folder of one job, as a worker with this `fence` sees it.

    Unfinished files carry the fence in their names: a worker that woke up late can't write into another one's.
    """

    path: Path
    fence: int

    def pages_of(self, chapter: int) -> PageFolder:
        """Where the pages of the chapter at that place of the request are."""
        return PageFolder(self.path / "pages" / f"{chapter:04}", self.fence)

    def growing(self, name: str) -> Path:
        """Where an archive grows into which pages are put; those stay until all pages are discarded."""
        folder = self.path / "pages"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{name}.{self.fence}.zip"

    def takes_pages(self) -> bool:
        """Whether pages may be put straight into growing archives.

        One attempt's may have some, or they would pile up with each that ends early. And what is finished has to stay
        where its pages are known to be, which takes a second name.
        """
        return not any((self.path / "pages").glob("*.zip")) and self._has_links()

    def _has_links(self) -> bool:
        file, link = (self.file_part(name) for name in ("linked", "link"))
        try:
            file.touch()
            link.hardlink_to(file)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            return False
        else:
            return True
        finally:
            file.unlink(missing_ok=True)
            link.unlink(missing_ok=True)

    def size(self) -> int:
        """Bytes that are there already, those of a file with several names once."""
        return sum(sizes(file for file in self.path.rglob("*") if file.is_file()).values())

    def discard_parts(self) -> None:
        """Remove what earlier attempts had not finished."""
        for part in self.path.rglob("*.part"):
            part.unlink(missing_ok=True)

    def made_page(self, step: str, chapter: int, page: int, piece: int = 0) -> Path:
        """Where the page belongs in the form that this step of packing gives it; the suffix is the step's to choose."""
        folder = self.path / "made" / step / f"{chapter:04}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{page:04}{f'-{piece:02}' if piece else ''}.page"

    def made_page_part(self, step: str, chapter: int, page: int, piece: int = 0) -> Path:
        return self.made_page(step, chapter, page, piece).with_suffix(f".{self.fence}.part")

    def discard_pages(self) -> None:
        """Remove all pages of the job."""
        for pages in ("pages", "made"):
            shutil.rmtree(self.path / pages, ignore_errors=True)

    def finished(self, name: str) -> Path:
        """Where a finished file of that name is, if there is one."""
        return self.path / "files" / name

    def file(self, name: str) -> Path:
        """Where a finished file of that name belongs; its folder is there from now on."""
        path = self.finished(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def file_part(self, name: str) -> Path:
        return self.file(f"{name}.{self.fence}.part")


class Workspace:
    """All jobs' folders of one installation."""

    def __init__(self, settings: TaskSettings) -> None:
        self._jobs = settings.data_path / "jobs"
        self._disk = settings.data_path / "disk"
        self.chapters = settings.data_path / "chapters"

    def folder(self, job_id: str, fence: int = 0) -> JobFolder:
        """The job's folder, which need not exist yet. Raises `ValueError` for what is no job id."""
        if not JOB_ID.fullmatch(job_id):
            raise ValueError(f"{job_id!r} is no job id")
        return JobFolder(self._jobs / job_id, fence)

    def job_ids(self) -> list[str]:
        """Jobs that have a folder."""
        if not self._jobs.exists():
            return []
        return sorted(folder.name for folder in self._jobs.iterdir() if JOB_ID.fullmatch(folder.name))

    def disk(self) -> str:
        """The name of this disk, which nobody else's has."""
        if not self._disk.exists():
            self._disk.parent.mkdir(parents=True, exist_ok=True)
            part = self._disk.with_name(f"disk.{secrets.token_hex(8)}.part")
            part.write_text(secrets.token_hex(8))
            part.rename(self._disk)
        return self._disk.read_text()

    def free_bytes(self) -> int:
        """Room left on the disk of the jobs."""
        self._jobs.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._jobs).free

    def remove(self, job_id: str) -> None:
        """Remove everything of the job; nothing there is fine."""
        folder = self.folder(job_id).path
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)
            # A worker that was just told to stop may have written once more in between.
            if folder.exists():
                shutil.rmtree(folder)
