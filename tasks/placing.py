"""Where pages will be in a job's archives, guessed while they are on their way, so that they are written once.

A page's place follows from what is before it: chapters in the order of the request, pages in theirs, and the parts that the
chapters are dealt out to. That is known as soon as the sizes are, long before the pages are there. A wrong guess (a page that
stays missing, a chapter that does not fit into its part after all) costs a copy: see `Misplaced`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tasks.archives.growing import GrowingZip
from tasks.archives.names import chapter_folders
from tasks.archives.parts import ENTRY_OVERHEAD, ChapterPages, PageFile, Planner
from tasks.archives.zip import header_size
from tasks.models import DownloadRequest

CAUTION = 2
"""Pages of unknown size may have so many times what is usual so far: a part into which too many were put is copied."""


@dataclass
class _Coming:
    """A chapter on its way: the page of each number that is expected, None where it is known to be missing."""

    shape: ChapterPages
    wanted: Sequence[int] | None = None
    """None = its source has not said what pages it has."""
    expected: dict[int, PageFile | None] = field(default_factory=dict)
    known: int = 0
    """Bytes that the expected pages take in a part."""
    part: int | None = None
    """Where it goes to; None = not known yet."""
    next: int = 0
    """How many of the wanted pages have a place, or none."""
    end: int = 0
    """Where the last of them ends, from where the chapter begins."""

    def expect(self, number: int, page: PageFile | None) -> None:
        self.known += _taken(page) - _taken(self.expected.get(number))
        self.expected[number] = page

    def with_pages(self, pages: Sequence[PageFile]) -> ChapterPages:
        return ChapterPages(self.shape.chapter, self.shape.folder, self.shape.total, pages)


class Placing:
    """The places of one job's pages; for the event loop alone. `archive` is the growing archive of the part at that place."""

    def __init__(self, request: DownloadRequest, archive: Callable[[int], GrowingZip]) -> None:
        self._archive = archive
        self._limit = request.part_limit
        self._planner = Planner(request.part_limit, request.split)
        folders = chapter_folders(request.chapters)
        shapes = [ChapterPages(one, folder, 0, ()) for one, folder in zip(request.chapters, folders, strict=True)]
        self._chapters = [_Coming(shape) for shape in shapes]
        self._at = 0
        self._ends: dict[int, int] = {}
        self._sizes = 0
        self._sizes_known = 0
        self._places: dict[tuple[int, int], tuple[int, int]] = {}

    def open(self, chapter: int, total: int, wanted: Sequence[int], there: Sequence[PageFile] = ()) -> None:
        """The chapter at that place of the request has `total` pages, of which some are wanted and these are there."""
        coming = self._chapters[chapter]
        coming.shape = ChapterPages(coming.shape.chapter, coming.shape.folder, total, ())
        coming.wanted = wanted
        for page in there:
            coming.expect(page.number, page)
        self._go_on()

    def miss(self, chapter: int, number: int) -> None:
        """That page will not come."""
        self._tell(chapter, number, None)

    def spot(self, chapter: int, number: int) -> "PageSpot":
        """Of that page."""
        return PageSpot(self, chapter, number)

    def expect(self, chapter: int, page: PageFile) -> None:
        """The page has that size and suffix."""
        self._sizes += page.size
        self._sizes_known += 1
        self._tell(chapter, page.number, page)

    def put(self, chapter: int, page: PageFile, body: bytes) -> PageFile | None:
        """The page in its archive; None = its place is not known, or taken. Raises `OSError`."""
        if (place := self._places.pop((chapter, page.number), None)) is None:
            return None
        part, start = place
        return self._archive(part).put(start, page, body)

    def _tell(self, chapter: int, number: int, page: PageFile | None) -> None:
        if chapter >= self._at:
            self._chapters[chapter].expect(number, page)
            self._go_on()

    def _go_on(self) -> None:
        while self._at < len(self._chapters) and self._is_through(self._at):
            self._at += 1

    def _is_through(self, place: int) -> bool:
        """Find places for the next pages of the chapter; whether that was the last of them."""
        coming = self._chapters[place]
        if coming.wanted is None:
            return False
        for number in coming.wanted[coming.next :]:
            if number not in coming.expected:
                return False
            if page := coming.expected[number]:
                self._place(place, coming, page)
            coming.next += 1
        self._settle(coming)
        return True

    def _place(self, place: int, coming: _Coming, page: PageFile) -> None:
        if coming.part is None:
            most = coming.known + self._guess(coming)
            coming.part = self._planner.place_for(coming.shape.chapter, coming.known, most)
        coming.end += header_size(coming.shape.name_of(page)) + page.size
        if coming.part is None:
            return
        end = self._ends.get(coming.part, 0) + coming.end
        if end <= self._limit:  # a server may say what it likes
            self._places[place, page.number] = (coming.part, end - page.size)

    def _guess(self, coming: _Coming) -> int:
        """Bytes that the pages of unknown size may take at most."""
        usual = self._sizes // max(1, self._sizes_known)
        return (len(coming.wanted or ()) - len(coming.expected)) * (CAUTION * usual + ENTRY_OVERHEAD)

    def _settle(self, coming: _Coming) -> None:
        """All sizes are known: where the chapter really goes to."""
        pages = [page for number in coming.wanted or () if (page := coming.expected[number])]
        coming.expected.clear()
        if not pages:
            return
        for part, piece in self._planner.add(coming.with_pages(pages)):
            size = sum(header_size(piece.name_of(page)) + page.size for page in piece.pages)
            self._ends[part] = self._ends.get(part, 0) + size
            self._planner.parts[part].chapters.clear()  # nobody asks for them here


def _taken(page: PageFile | None) -> int:
    return page.size + ENTRY_OVERHEAD if page else 0


@dataclass(frozen=True)
class PageSpot:
    """The place of one page."""

    placing: Placing
    chapter: int
    number: int

    def expect(self, page: PageFile) -> None:
        self.placing.expect(self.chapter, page)

    def put(self, page: PageFile, body: bytes) -> PageFile | None:
        return self.placing.put(self.chapter, page, body)
