"""What a Consumet API answers, read into our values. Pure, and patient: fields are missing, null, maps, lists or strings."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urljoin

from pydantic import BeforeValidator, Field

from tasks.chapters import in_reading_order, volumes_restart
from tasks.models import Chapter, Manga, Page, Rating
from tasks.sources.fields import UUID, Answer, IdText, Text, Texts, plain_number, text

CHAPTER_TEXT = re.compile(
    r"^(?:vol(?:ume)?\.?\s*(?P<volume>\d+(?:\.\d+)?)\s*,?\s*)?"
    r"(?:ch(?:apter)?\.?|episode|ep\.?)\s*(?P<number>\d+(?:\.\d+)?)\s*[-:–]?\s*(?P<title>.*)$",
    re.IGNORECASE,
)
ID_NUMBER = re.compile(r"(?:chapter[-_]|/c|^c)(\d+(?:[.-]\d+)?)/?$", re.IGNORECASE)
ID_VOLUME = re.compile(r"/v(\d+)/")
YEAR = re.compile(r"\b(1[89]|20)\d\d\b")
URL_SIGNS = "%/:?#[]@!$&'()*+,;=~"


def _referer(value: object) -> dict[str, str]:
    """A Referer, which comes as `{"Referer": url}`, as the url alone, or not at all."""
    found = text(value.get("Referer") or value.get("referer") if isinstance(value, Mapping) else value)
    escaped = quote(found, safe=URL_SIGNS)
    return {"Referer": f"https:{escaped}" if escaped.startswith("//") else escaped} if escaped else {}


class MangaAnswer(Answer):
    """A search result, or the head of an info answer."""

    id: IdText = ""
    title: Text = ""
    alt_titles: Texts = Field(default=(), alias="altTitles")
    authors: Texts = ()
    description: Text = ""
    status: Text = ""
    release_date: Text = Field(default="", alias="releaseDate")
    image: Text = ""
    rating: Text = Field(default="", alias="contentRating")


class SearchAnswer(Answer):
    results: list[MangaAnswer]
    has_next: bool | None = Field(default=None, alias="hasNextPage")


class ChapterAnswer(Answer):
    id: IdText
    title: Text = ""
    number: Text = Field(default="", alias="chapterNumber")
    chapter: Text = ""
    volume: Text = Field(default="", alias="volumeNumber")
    pages: int | None = None


class InfoAnswer(MangaAnswer):
    chapters: tuple[ChapterAnswer, ...] = ()


class PageAnswer(Answer):
    img: Text
    headers: Annotated[dict[str, str], BeforeValidator(_referer)] = Field(default_factory=dict, alias="headerForImage")


def manga(answer: MangaAnswer, source: str, manga_id: str, address: str = "") -> Manga:
    """A manga; without a title in the answer, an alternative one or what its id says.

    `address` is where people find it, with `{id}` for its id.
    """
    alternatives = tuple(title for title in answer.alt_titles if title != answer.title)
    year = YEAR.search(answer.release_date)
    return Manga(
        source=source,
        id=manga_id,
        title=answer.title or next(iter(alternatives), "") or title_of_id(manga_id),
        alt_titles=alternatives,
        authors=answer.authors,
        description=answer.description,
        year=int(year[0]) if year else None,
        status=answer.status.lower(),
        languages=("en",),
        cover_url=answer.image if answer.image.startswith(("http://", "https://")) else None,
        url=_link(address, manga_id),
        rating=Rating(answer.rating) if answer.rating in set(Rating) else None,
    )


def _link(address: str, some_id: str) -> str | None:
    return address.format(id=quote(some_id, safe="/")) if address else None


def chapters(answers: Sequence[ChapterAnswer], *, one_per_number: bool, address: str = "") -> tuple[Chapter, ...]:
    """The chapters in reading order, each id once. One that has no pages here is not available.

    With `one_per_number`, where several groups did a chapter, the one listed first that is available is offered. `address`
    is where people read a chapter, with `{id}` for its id.
    """
    listed = [chapter(answer, address) for answer in answers if answer.id]
    restart = volumes_restart(listed)
    found: dict[object, Chapter] = {}
    for one in listed:
        numbers = (one.volume if restart else None, one.number)
        key = numbers if one_per_number and one.number else one.id
        if key not in found or (one.available and not found[key].available):
            found[key] = one
    return tuple(in_reading_order(list(found.values())))


def chapter(answer: ChapterAnswer, address: str = "") -> Chapter:
    """A chapter; number and volume are read off title or id where no field has them."""
    matched = CHAPTER_TEXT.match(answer.title)
    by_id = chapter_of_id(answer.id)
    number = plain_number(answer.number or answer.chapter or (matched["number"] if matched else "")) or by_id.number
    volume = plain_number(answer.volume or (matched["volume"] or "" if matched else "")) or by_id.volume
    return Chapter(
        id=answer.id,
        number=number,
        volume=volume,
        title=_title(answer, matched, number),
        language="en",
        available=answer.pages != 0,
        url=_link(address, answer.id),
    )


def _title(answer: ChapterAnswer, matched: re.Match[str] | None, number: str | None) -> str:
    """What is said beside the number; a chapter needs something to be called by."""
    if matched and plain_number(matched["number"]) == number:
        return matched["title"].strip()
    return answer.title or ("" if number else answer.number or "Oneshot")


def chapter_of_id(chapter_id: str) -> Chapter:
    """What an id says: `slug/v01/c010.5`, `7001-10012000/slug-chapter-12`, `slug/chapter-1`."""
    number, volume = ID_NUMBER.search(chapter_id), ID_VOLUME.search(chapter_id)
    return Chapter(
        id=chapter_id,
        number=plain_number(number[1].replace("-", ".")) if number else None,
        volume=plain_number(volume[1]) if volume else None,
        language="en",
    )


def title_of_id(some_id: str) -> str:
    """A readable title from a manga's or chapter's id: its longest part without numbers, in words."""
    if UUID.fullmatch(some_id):
        return some_id
    bare = re.sub(r"[-_/](?:chapter[-_]|c)\d+(?:[.-]\d+)?$", "", some_id)
    parts = [part for part in bare.split("/") if re.search(r"[^\W\d_]{2}", part)]
    slug = max(parts, key=len, default=some_id)
    words = re.sub(r"-\d+$", "", slug).replace("-", " ").replace("_", " ").split()
    return " ".join(word.capitalize() for word in words) or some_id


def page(answer: PageAnswer, base: str, headers: Mapping[str, str]) -> Page:
    """Where a page is; addresses may be relative to the API's, or lack their scheme."""
    try:
        address = urljoin(f"{base}/", answer.img) if answer.img else ""
    except ValueError:
        address = answer.img  # no address at all: who reads it says so
    return Page(address=address, headers={**headers, **answer.headers})


def parse_list(items: Any) -> list[PageAnswer]:
    """The pages of a read answer in its order, which is the reading order whatever their numbers say."""
    return [PageAnswer.model_validate(item) for item in items]
