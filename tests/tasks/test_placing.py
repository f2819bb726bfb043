"""Pages straight into the archives: the same bytes as when they are copied, whatever comes when, and nothing is spoiled."""

import errno
import os
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.archives.growing import GrowingZip, Misplaced
from tasks.archives.names import chapter_folders
from tasks.archives.parts import ARCHIVE_OVERHEAD, ENTRY_OVERHEAD, ChapterPages, PageFile
from tasks.jobs.job import Result
from tasks.models import ArchiveFormat, Chapter, DownloadRequest, Quality, Split
from tasks.packing import Packer
from tasks.page_folder import IN_MEMORY, Incoming, PageFolder
from tasks.placing import Placing
from tasks.workspace import JobFolder
from tests.tasks.test_page_folder import picture

PICTURES = [picture(shade, 20 + 7 * shade, kind) for shade, kind in enumerate(("JPEG", "PNG", "WEBP") * 3)]
LARGE = picture(1, 900, "PNG")


def nothing() -> None:
    """Nothing ends the packing."""


@dataclass
class Coming:
    """A page on its way; `body` is all of it, None where it will not come."""

    incoming: Incoming
    body: bytes | None
    size: int | None
    """As it is announced, if it is."""
    is_announced: bool = False

    def go_on(self) -> PageFile | None:
        """Announce it, and then let it come; the page when it is there."""
        if self.body is None:
            return None
        if not self.is_announced:
            self.is_announced = True
            if self.size is not None:
                self.incoming.expect(self.size)
            self.incoming.add(self.body[:100])
            return None
        self.incoming.add(self.body[100:])
        return self.incoming.finish()


@dataclass
class Download:
    """A job of these pages by chapter, None for what stays missing, as its worker packs it."""

    folder: JobFolder
    chapters: list[list[bytes | None]]
    split: Split = Split.ALL
    limit: int = 10**9
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    wrong: float = 0.0
    """How often a page is announced with another size than it has."""
    format: ArchiveFormat = ArchiveFormat.ZIP
    prompt: bool = False
    unannounced: Collection[tuple[int, int]] = ()
    """Chapters, by place, and numbers of the pages whose size nobody says before."""

    def __post_init__(self) -> None:
        wanted = tuple(Chapter(id=f"c{n}", number=str(n), volume=str(n // 3)) for n in range(1, len(self.chapters) + 1))
        self.request = DownloadRequest(
            source="demo", title="x", chapters=wanted, part_limit=self.limit, split=self.split, format=self.format
        )
        self.pages: list[dict[int, PageFile]] = [{} for _ in self.chapters]

    def put(self, page: PageFile) -> bool:
        """Whether the page is where it was put at once."""
        return page.path.suffix == ".zip"

    @property
    def all_pages(self) -> Iterator[tuple[PageFile, bytes]]:
        for pages, bodies in zip(self.pages, self.chapters, strict=True):
            for number, page in pages.items():
                body = bodies[number - 1]
                assert body
                yield page, body

    def fetch(self, packer: Packer, placing: Placing | None, chapters: int) -> None:
        """The first chapters, but for what is there by now.

        Sixteen pages at a time, of which any may be the first that is there; a chapter is packed when it is whole.
        """
        folders = [self.folder.pages_of(place) for place in range(chapters)]
        waiting = []
        for place, folder in enumerate(folders):
            self.pages[place] = folder.open()
            numbers = range(1, len(self.chapters[place]) + 1)
            waiting += [(place, number) for number in numbers if number not in self.pages[place]]
            folder.note_total(len(numbers))
            if placing:
                placing.open(place, len(numbers), numbers, list(self.pages[place].values()))
        packed = 0
        while packed < chapters:
            under_way, waiting = waiting[:16], waiting[16:]
            self._come(under_way, folders, placing)
            while packed < chapters and (not waiting or waiting[0][0] > packed):
                self._pack(packer, packed)
                packed += 1

    def _come(self, pages: list[tuple[int, int]], folders: list[PageFolder], placing: Placing | None) -> None:
        """Each is announced, and comes, whenever it likes; if they are `prompt`, all are announced before the first comes."""
        coming = {one: self._coming(one, folders, placing) for one in pages}
        first, then = [list(pages) for _ in range(2)] if self.prompt else ([*pages, *pages], [])
        self.chance.shuffle(first)
        self.chance.shuffle(then)
        for place, number in first + then:
            if page := coming[place, number].go_on():
                self.pages[place][number] = page
            elif not coming[place, number].body and placing:
                placing.miss(place, number)

    def _coming(self, one: tuple[int, int], folders: list[PageFolder], placing: Placing | None) -> Coming:
        place, number = one
        body = self.chapters[place][number - 1]
        wrong = self.chance.choice([-90, 90]) if self.chance.random() < self.wrong else 0
        size = None if one in self.unannounced else len(body or b"") + wrong
        spot = placing.spot(place, number) if placing else None
        return Coming(folders[place].incoming(number, 10**9, spot), body, size)

    def _pack(self, packer: Packer, place: int) -> None:
        pages = [self.pages[place][number] for number in sorted(self.pages[place])]
        if pages:
            shape = (self.request.chapters[place], chapter_folders(self.request.chapters)[place])
            packer.add(ChapterPages(*shape, len(self.chapters[place]), pages), nothing)

    def run(self, *, at_once: bool = True) -> list[bytes]:
        """The files that come of it."""
        with Packer(self.request, self.folder, shrink=False) as packer:
            self.fetch(packer, packer.placing() if at_once else None, len(self.chapters))
            result: Result = packer.finish([], nothing)
        return [self.folder.finished(file.name).read_bytes() for file in result.files]


def some(chapters: int, pages: int) -> list[list[bytes | None]]:
    return [[PICTURES[(7 * place + number) % len(PICTURES)] for number in range(pages)] for place in range(chapters)]


def room_for(pages: int) -> int:
    return ARCHIVE_OVERHEAD + pages * (ENTRY_OVERHEAD + sum(map(len, PICTURES)) // len(PICTURES))


def test_pages_are_written_once(tmp_path: Path) -> None:
    download = Download(JobFolder(tmp_path, 1), some(9, 20), prompt=True)
    [file] = download.run()
    assert sum(download.put(page) for page, _ in download.all_pages) == 9 * 20
    assert [file] == Download(JobFolder(tmp_path / "copied", 1), some(9, 20)).run(at_once=False)
    # What the notes beside the archive hold besides is little.
    notes = sum(path.stat().st_size for path in (tmp_path / "pages").rglob("pages.*"))
    assert notes < 9 * 20 * 250


def test_most_pages_are_written_once_where_there_are_several_files(tmp_path: Path) -> None:
    download = Download(JobFolder(tmp_path, 1), some(40, 30), prompt=True, limit=room_for(200))
    files = download.run()
    assert len(files) > 6
    assert download.folder.size() < 1.5 * sum(map(len, files))


@pytest.mark.parametrize("seed", range(60))
def test_the_bytes_are_the_same_however_pages_come(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    chapters = some(chance.randint(1, 12), chance.randint(1, 40))
    chance.choice(chapters).append(LARGE)
    for pages in chapters:
        for number in range(len(pages)):
            if chance.random() < chance.choice([0.0, 0.05]):
                pages[number] = None
    if not any(page for pages in chapters for page in pages):
        chapters[0][0] = LARGE
    more: dict[str, Any] = {
        "split": chance.choice(list(Split)),
        "limit": chance.choice([10**9, room_for(50) + len(LARGE), room_for(15) + len(LARGE)]),
        "format": chance.choice([ArchiveFormat.ZIP, ArchiveFormat.CBZ]),
    }
    download = Download(
        JobFolder(tmp_path / "put", 1), chapters, chance=chance, wrong=chance.choice([0.0, 0.1]), **more
    )
    copied = Download(JobFolder(tmp_path / "copied", 1), chapters, **more)
    assert download.run() == copied.run(at_once=False)
    # Whoever knows a page of it, such as the next worker, finds it where it was.
    assert all(page.read() == body for page, body in download.all_pages)
    for place, there in enumerate(download.pages):
        kept = JobFolder(tmp_path / "put", 2).pages_of(place).open()
        assert {number: page.read() for number, page in kept.items()} == {n: page.read() for n, page in there.items()}


def test_what_is_made_over_or_waits_is_not_put_anywhere(tmp_path: Path) -> None:
    chapters = (Chapter(id="c1", number="1"),)
    cases: list[dict[str, Any]] = [{"format": ArchiveFormat.PDF}, {"format": ArchiveFormat.EPUB}, {"sliced": True}]
    for more in cases:
        request = DownloadRequest(source="demo", title="x", chapters=chapters, **more)
        assert Packer(request, JobFolder(tmp_path, 1), shrink=False).placing() is None
    smaller = DownloadRequest(source="demo", title="x", chapters=chapters, quality=Quality.SMALLER)
    assert Packer(smaller, JobFolder(tmp_path, 1), shrink=True).placing() is None


def test_a_page_too_large_for_the_memory_is_copied(tmp_path: Path) -> None:
    assert len(LARGE) > IN_MEMORY
    download = Download(JobFolder(tmp_path, 1), [[PICTURES[0], LARGE, PICTURES[1]]], prompt=True)
    download.run()
    assert [download.put(download.pages[0][number]) for number in (1, 2, 3)] == [True, False, True]


def test_on_a_disk_without_links_pages_outlive_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    [file] = Download(JobFolder(tmp_path / "put", 1), some(2, 20)).run()
    assert [file] == Download(JobFolder(tmp_path / "copied", 1), some(2, 20)).run(at_once=False)
    # A worker that is killed now has the whole job left to the next one.
    assert [len(JobFolder(tmp_path / "put", 2).pages_of(place).open()) for place in range(2)] == [20, 20]


@pytest.fixture
def growing(tmp_path: Path) -> Iterator[GrowingZip]:
    growing = GrowingZip(tmp_path / "growing.zip", takes=True)
    yield growing
    growing.abandon()


def page_of(tmp_path: Path, body: bytes) -> ChapterPages:
    """A chapter of one page, which is in a file of its own."""
    path = tmp_path / "page.jpg"
    path.write_bytes(body)
    return ChapterPages(Chapter(id="c1", number="1"), "Chapter 0001", 1, [PageFile.of(1, path)])


def test_nothing_is_written_over_a_page(tmp_path: Path, growing: GrowingZip) -> None:
    before, body = page_of(tmp_path, LARGE), PICTURES[0]
    put = growing.put(len(LARGE), PageFile(1, Path(), len(body), "", ".jpg"), body)
    assert put
    with pytest.raises(Misplaced):
        growing.add(before, nothing)
    assert put.read() == body


def test_no_page_is_put_over_another(growing: GrowingZip) -> None:
    body = PICTURES[0]
    page = PageFile(1, Path(), len(body), "", ".jpg")
    size = len(body)
    assert growing.put(10 * size, page, body)
    assert [growing.put(at, page, body) is not None for at in (10 * size - 1, 10 * size, 11 * size - 1)] == [False] * 3
    assert [growing.put(at, page, body) is not None for at in (9 * size, 11 * size, 30 * size)] == [True] * 3


def test_a_page_of_unknown_size_does_not_hold_up_all_that_follow(tmp_path: Path) -> None:
    download = Download(JobFolder(tmp_path, 1), some(4, 20), prompt=True, unannounced=[(0, 5)])
    download.run()
    assert all(download.put(page) for pages in download.pages[2:] for page in pages.values())


def test_what_a_server_says_of_sizes_is_not_believed_beyond_a_file(tmp_path: Path) -> None:
    download = Download(JobFolder(tmp_path, 1), some(1, 3), limit=10**6)
    with Packer(download.request, download.folder, shrink=False) as packer:
        placing = packer.placing()
        assert placing
        placing.open(0, 3, range(1, 4))
        for number, size in ((1, len(PICTURES[0])), (2, 10**15), (3, len(PICTURES[2]))):
            placing.expect(0, PageFile(number, Path(), size, "", ".jpg"))
        put = [placing.put(0, PageFile(n, Path(), len(PICTURES[n - 1]), "", ".jpg"), PICTURES[n - 1]) for n in (1, 3)]
    assert [page is not None for page in put] == [True, False]


def test_nothing_is_put_over_a_chapter(tmp_path: Path, growing: GrowingZip) -> None:
    growing.add(page_of(tmp_path, LARGE), nothing)
    body = PICTURES[0]
    assert growing.put(len(LARGE), PageFile(1, Path(), len(body), "", ".jpg"), body) is None
    assert growing.put(2 * len(LARGE), PageFile(1, Path(), len(body), "", ".jpg"), body)


def test_attempts_that_end_early_do_not_pile_up(tmp_path: Path) -> None:
    chapters = some(8, 20)
    for attempt in range(1, 8):
        download = Download(JobFolder(tmp_path / "put", attempt), chapters)
        download.folder.discard_parts()
        with Packer(download.request, download.folder, shrink=False) as packer:
            download.fetch(packer, packer.placing(), attempt)
    [file] = Download(JobFolder(tmp_path / "copied", 1), chapters).run(at_once=False)
    assert download.folder.size() < 2.2 * len(file)
    assert [file] == Download(JobFolder(tmp_path / "put", 8), chapters).run()
