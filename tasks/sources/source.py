"""What a source is: a place that finds manga, lists chapters and hands out pages.

An adapter promises, and the contract test (`tests/tasks/sources/contract.py`) checks:

* Nothing found is an empty `SearchPage`, never an error; a source that cannot be asked is a `SourceDown`, one that
  answers nonsense a `SourceFailed`, an id it denies a `NotFound`, a chapter without pages a `NoPages`.
* Every error of it is a `SourceError` or `PageError` with `source=<name>` in its detail.
* Every request it makes has a timeout, is tried again where that helps, obeys Retry-After, and tells who is asking.
* A chapter that it lists without pages is not `available`.
* Chapters come in reading order, without doubles; numbers are decimals as text ("7", "10.5") or None.
* Ids go back into it as they came out, whatever they hold; no text of a person reaches a URL or a path unescaped.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol

from tasks.models import NO_FILTERS, Filters, Link, Listing, MangaDetails, Page, Quality, SearchPage

LONGEST_QUERY = 200
"""Characters of a query that a source is asked for."""


Expect = Callable[[int], None]
"""Is told how many bytes are about to come."""


def nothing(_size: int, /) -> None:
    """For who need not know how many bytes come."""


class Source(Protocol):
    """One place to get manga from; safe to use from many coroutines at once."""

    @property
    def number(self) -> int:
        """Stable number a person may type; unique among the sources."""

    @property
    def name(self) -> str:
        """Stable name a person may type, lower case; unique among the sources."""

    @property
    def has_smaller(self) -> bool:
        """Whether it has smaller pages of its own; where it has none, they are made of the original ones."""

    @property
    def is_local(self) -> bool:
        """Whether its pages come from this machine, where keeping them once more is of no use."""

    @property
    def at_once(self) -> int:
        """Of how many manga one request of `marks` tells; 0 = it can't tell."""

    async def search(self, query: str, page: int = 1, filters: Filters = NO_FILTERS, /) -> SearchPage:
        """Find manga by title; pages count from 1. What it can't filter by is passed over."""

    async def details(self, manga_id: str) -> MangaDetails:
        """The manga of that id with all its chapters."""

    async def marks(self, manga_ids: Sequence[str], /) -> Mapping[str, str]:
        """What tells whether the chapters of these manga changed, by their ids, for many at a time: for those whose mark is
        another one than before a `look` is worth while. Manga of which nothing can be told so are left out; at most `at_once`
        may be asked for."""

    async def look(self, manga_id: str, mark: str = "", /) -> Listing:
        """The manga's chapters once more, as cheap as can be where they are as they were at that mark of a `Listing`."""

    async def locate(self, chapter_ids: Sequence[str]) -> MangaDetails:
        """What can be known of chapters by their ids alone, in the order given.

        Where the source has no look-up by chapter id, titles and numbers are read off the ids; whether such an id exists
        shows only in `pages`.
        """

    async def pages(self, chapter_id: str, quality: Quality = Quality.ORIGINAL, /) -> tuple[Page, ...]:
        """The chapter's pages in reading order, at least one, in that quality where the source has it."""

    def read(self, page: Page, expect: Expect = nothing, /) -> AsyncGenerator[bytes, None]:
        """The page's bytes in chunks, one attempt: who reads tries again by `PageError.retry_helps`.

        `expect` is told before the first chunk how many bytes will come, where that is known.

        Raises `PageError` before or between chunks; a body shorter than announced is a `PageBroken`.
        """

    def linked(self, address: str) -> Link | None:
        """What an http address that people copied leads to; None where it is not one of the source's sites."""

    async def check(self) -> None:
        """Return when the source answers; the cheapest request it has. Raises `SourceError`."""


def one_line(query: str) -> str:
    """What a source can be asked for: no control characters, single spaces, not endless."""
    return " ".join("".join(c if c.isprintable() else " " for c in query).split())[:LONGEST_QUERY]
