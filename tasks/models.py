"""What the rooms hand to each other: plain values, checked when they are made, never changed."""

import hashlib
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

LONGEST_ID = 500
Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID, strip_whitespace=True)]
"""An id as the source gave it: may hold `/` and spaces, means nothing to us, never becomes a path."""


class Value(BaseModel):
    """A value object: immutable and comparable. What a later release added to one that it wrote is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Rating(StrEnum):
    """Whom a manga is for, in MangaDex's terms, the tamest first."""

    SAFE = "safe"
    SUGGESTIVE = "suggestive"
    EROTICA = "erotica"
    PORNOGRAPHIC = "pornographic"


class Manga(Value):
    """A manga as a source lists it. Texts are plain, as the source has them: escape them before showing."""

    source: str
    id: Id
    title: str
    alt_titles: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    description: str = ""
    year: int | None = None
    status: str = ""
    languages: tuple[str, ...] = ()
    original_language: str | None = None
    cover_url: str | None = None
    url: str | None = None
    rating: Rating | None = None

    @property
    def key(self) -> str:
        """A word that stands for it, whatever its id holds: always the same one."""
        return hashlib.sha256(f"{self.source}\0{self.id}".encode()).hexdigest()[:24]


class Chapter(Value):
    """A chapter of a manga, as one or more scanlation `groups` did it in one language.

    `number` is the field's decimal notation ("12", "12.5"); None where there is none (a oneshot, an extra). One that is not
    `available` is listed by the source, but has no pages there; `url` is where people read it then.
    """

    id: Id
    number: str | None = None
    volume: str | None = None
    title: str = ""
    language: str | None = None
    groups: tuple[str, ...] = ()
    available: bool = True
    url: str | None = None

    @property
    def label(self) -> str:
        """What a button or a list calls it: its number, else its title, else its id."""
        return self.number or self.title or self.id


class MangaDetails(Value):
    """A manga and its chapters in reading order, oldest first."""

    manga: Manga
    chapters: tuple[Chapter, ...]


class Listing(Value):
    """What a look at a title came to: all its chapters in reading order; None = they are as they were at the mark it was given.

    `mark` is for the next look: what the source said of their state; empty = nothing.
    """

    chapters: tuple[Chapter, ...] | None
    mark: str = ""


class Link(Value):
    """What an address of a source's site leads to: one of its manga, or one of its chapters."""

    source: str
    manga_id: Id | None = None
    chapter_id: Id | None = None


class SearchPage(Value):
    """One page of search results; `has_more` says whether asking for the next page makes sense."""

    mangas: tuple[Manga, ...]
    has_more: bool = False


class Order(StrEnum):
    """How a search is to be sorted."""

    RELEVANCE = "relevance"
    FOLLOWED = "followed"
    LATEST = "latest"
    TITLE = "title"
    YEAR = "year"
    ADDED = "added"
    UPDATED = "updated"
    RATING = "rating"


class Filters(Value):
    """What a search is narrowed to; nothing = not at all. Languages are codes as sources write them."""

    languages: tuple[str, ...] = ()
    """There are chapters in one of these."""
    originals: tuple[str, ...] = ()
    """It was first written in one of these."""
    statuses: tuple[str, ...] = ()
    ratings: tuple[Rating, ...] = ()
    readable: bool = False
    """There are chapters at all."""
    order: Order | None = None

    def fit(self, manga: Manga) -> bool:
        """Whether what is known of the manga speaks against it."""
        return not (
            (self.languages and manga.languages and not set(self.languages) & set(manga.languages))
            or (self.statuses and manga.status and manga.status not in self.statuses)
            or (self.ratings and manga.rating and manga.rating not in self.ratings)
        )


NO_FILTERS = Filters()


class Page(Value):
    """Where one page's bytes are, in the terms of the source that named it; `headers` go with the request."""

    address: str
    headers: dict[str, str] = Field(default_factory=dict)


class ArchiveFormat(StrEnum):
    ZIP = "zip"
    CBZ = "cbz"
    PDF = "pdf"
    EPUB = "epub"


class Quality(StrEnum):
    """Which pages: those of the source, or smaller ones where that saves bytes, as JPEG or as WebP."""

    ORIGINAL = "original"
    SMALLER = "smaller"
    WEBP = "webp"


class Split(StrEnum):
    """What is in one file."""

    ALL = "all"
    VOLUME = "volume"
    CHAPTER = "chapter"


def _split(value: object) -> object:
    """It was yes or no once, and records keep it so."""
    return {True: Split.CHAPTER, False: Split.ALL}.get(value, value) if isinstance(value, bool) else value


SplitField = Annotated[Split, BeforeValidator(_split)]
WRITTEN = 2
"""Version of what is made of a request: raised when the same one gives other bytes, so that older files are not sent for it."""
DEFAULT_WIDTH = 1200
"""Pixels of smaller pages."""


class DownloadRequest(Value):
    """What one job downloads. Two requests with the same `key` are the same job.

    `only` names the pages to fetch by chapter id, counted from 1; a chapter that is not in it is fetched whole. `part_limit`
    is the largest size of one file in bytes; a larger archive is written as several. `width` are pixels of smaller pages;
    with `sliced` long strips are cut at gutters. `right_to_left` is how it is read, None = not known, and `url` where people
    find the manga.
    """

    source: str
    title: str
    manga_id: str | None = None
    chapters: tuple[Chapter, ...]
    only: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    format: ArchiveFormat = ArchiveFormat.ZIP
    quality: Quality = Quality.ORIGINAL
    split: SplitField = Split.ALL
    width: int = Field(default=DEFAULT_WIDTH, ge=300, le=4000)
    sliced: bool = False
    right_to_left: bool | None = None
    url: str | None = None
    part_limit: int = Field(default=50_000_000, gt=0)

    @property
    def source_quality(self) -> Quality:
        """What to ask the source for: its own smaller pages are what we would make by default."""
        own = self.quality is Quality.SMALLER and self.width == DEFAULT_WIDTH
        return self.quality if own else Quality.ORIGINAL

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{WRITTEN}{self.model_dump_json()}".encode()).hexdigest()[:32]
