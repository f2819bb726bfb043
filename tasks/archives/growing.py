"""A ZIP that takes chapters as they come, and pages of the next ones before they are whole."""

import os
import threading
import zipfile
import zlib
from bisect import bisect, insort
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from tasks.archives.comic_info import comic_info
from tasks.archives.parts import ChapterPages, PageFile
from tasks.archives.zip import (
    COMIC_INFO,
    MANIFEST,
    Archive,
    Checkpoint,
    entry,
    header_size,
    manifest,
    page_told,
    told,
    validate,
    write_page,
)
from tasks.models import ArchiveFormat


class Misplaced(Exception):
    """Pages were put where others have to go; all of them are whole, and where they were put."""


class _Zip(zipfile.ZipFile):
    def adopt(self, file: BinaryIO, info: zipfile.ZipInfo) -> None:
        """Take an entry whose bytes are already where they would be written now; its name, size and checksum are given."""
        info.compress_size = info.file_size
        info.header_offset = self.start_dir
        file.seek(self.start_dir)
        self.start_dir += file.write(info.FileHeader()) + info.file_size
        self.filelist.append(info)
        self.NameToInfo[info.filename] = info


class GrowingZip:
    """An archive at `unfinished` that takes chapters one by one, as they come.

    Blocks for as long as it takes: use it in threads, one after the other, and raise something in `checkpoint` to end it.
    Everything raises `OSError`. If it `takes` pages, they may be put into it before their chapter is added, from any thread;
    nothing is ever written over them.
    """

    def __init__(self, unfinished: Path, *, takes: bool = False) -> None:
        self._unfinished = unfinished
        self._file = unfinished.open("xb")
        self._target = _Zip(self._file, "w", zipfile.ZIP_STORED)
        self._chapters: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._takes = takes
        self._put: list[tuple[int, int]] = []
        """Where pages begin and end whose chapter is not added yet, in order."""
        self._end = 0
        """Of the chapters that are added."""

    def put(self, at: int, page: PageFile, body: bytes) -> PageFile | None:
        """Put a page where it will begin if `at` was guessed right; None = it can't be there."""
        with self._lock:
            if not self._takes or not self._is_free(at, at + len(body)):
                return None
            left = memoryview(body)
            while left:
                left = left[os.pwrite(self._file.fileno(), left, at + len(body) - len(left)) :]
            insort(self._put, (at, at + len(body)))
        return replace(page, path=self._unfinished, offset=at, crc=zlib.crc32(body))

    def _is_free(self, start: int, end: int) -> bool:
        place = bisect(self._put, (start, end))
        before = self._put[place - 1][1] if place else self._end
        after = self._put[place][0] if place < len(self._put) else end
        return before <= start and end <= after

    def add(self, chapter: ChapterPages, checkpoint: Checkpoint) -> None:
        """Write the pages of the next chapter that were not put here. Raises `Misplaced`, and has not changed then."""
        pages = [(chapter.name_of(page), page) for page in chapter.pages]
        self._reserve(pages)
        self._chapters.append(chapter.told([self._written(name, page, checkpoint) for name, page in pages]))
        # Now, while other pages are still on their way, or all of it would have to be waited for at the end.
        self._file.flush()
        os.fsync(self._file.fileno())

    def _reserve(self, pages: Sequence[tuple[str, PageFile]]) -> None:
        """Look whether these can follow what is there, and keep the room for them."""
        with self._lock:
            end, here = self._end, set()
            for name, page in pages:
                end += header_size(name)
                if page.path == self._unfinished:
                    here.add(page.offset)
                    if page.offset != end:
                        raise Misplaced
                end += page.size
            others = [put for put in self._put if put[0] not in here]
            if others and others[0][0] < end:
                raise Misplaced
            self._put, self._end = others, end

    def _written(self, name: str, page: PageFile, checkpoint: Checkpoint) -> dict[str, Any]:
        """See to it that the page is next in the archive; what the manifest says of it."""
        if page.path != self._unfinished:
            return write_page(self._target, name, page, checkpoint)
        checkpoint()
        info = entry(name)
        info.file_size, info.CRC = page.size, page.crc
        self._target.adopt(self._file, info)
        return page_told(name, page)

    def finish(self, archive: Archive, file: Path) -> None:
        """Write what the archive says of itself, look whether all of it is there, and let `file` be it.

        Pages that were put here stay where they were put as well. Raises `Misplaced`, and has not changed then.
        """
        if self._put:
            raise Misplaced
        self._target.writestr(entry(MANIFEST), manifest(archive, self._chapters))
        self._chapters.clear()  # it is large where there are many pages
        if archive.request.format is ArchiveFormat.CBZ:
            self._target.writestr(entry(COMIC_INFO), comic_info(archive.request, archive.part))
        self._target.close()
        self._file.close()
        written = [told(entry) for entry in self._target.infolist()]
        del self._target  # its entries, which are read once more now, take a kilobyte each
        validate(self._unfinished, written)
        if self._takes:
            part = file.with_name(f"{self._unfinished.name}.part")
            part.hardlink_to(self._unfinished)
            part.rename(file)
        else:
            self._unfinished.rename(file)

    def abandon(self) -> None:
        """Leave it as it is."""
        with self._lock:
            self._takes = False
            if self._file.closed:
                return
            self._target.fp = None  # or it would write the contents of a file that nobody wants
            with suppress(OSError):
                self._file.close()
