"""What the MangaDex API answers, read into our values. Pure, and patient: texts are missing, null, maps or empty lists."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from tasks.chapters import in_reading_order
from tasks.models import Chapter, Manga, Rating
from tasks.sources.fields import Answer, IdText, Text, Texts, plain_number, text

TITLE = "https://mangadex.org/title/"
CHAPTER = "https://mangadex.org/chapter/"
COVER = "https://uploads.mangadex.org/covers/"
ROMANIZED = ("ja-ro", "ko-ro", "zh-ro")


def _map(value: object) -> dict[str, Any]:
    """A map; MangaDex writes an empty one as an empty list, and sometimes null."""
    return value if isinstance(value, dict) else {}


def _maps(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


Map = Annotated[dict[str, Any], BeforeValidator(_map)]
Maps = Annotated[list[dict[str, Any]], BeforeValidator(_maps)]


class Relation(Answer):
    id: IdText = ""
    type: Text = ""
    attributes: Map = Field(default_factory=dict)


class Entity(Answer):
    """A manga or a chapter with what belongs to it."""

    id: IdText
    attributes: Map = Field(default_factory=dict)
    relationships: tuple[Relation, ...] = ()

    def related(self, *types: str) -> list[Relation]:
        return [one for one in self.relationships if one.type in types]


class Listing(Answer):
    data: list[Entity]
    limit: int = 0
    offset: int = 0
    total: int = 0

    @property
    def end(self) -> int:
        """Where the next page begins; 0 where there is none."""
        after = self.offset + len(self.data)
        return after if self.data and after < self.total else 0


class One(Answer):
    data: Entity


class MangaAttributes(Answer):
    title: Map = Field(default_factory=dict)
    alt_titles: Maps = Field(default_factory=list, alias="altTitles")
    description: Map = Field(default_factory=dict)
    status: Text = ""
    year: int | None = None
    languages: Texts = Field(default=(), alias="availableTranslatedLanguages")
    original: Text = Field(default="", alias="originalLanguage")
    rating: Text = Field(default="", alias="contentRating")


class ChapterAttributes(Answer):
    chapter: Text = ""
    volume: Text = ""
    title: Text = ""
    language: Text = Field(default="", alias="translatedLanguage")
    pages: int | None = None
    external: Text = Field(default="", alias="externalUrl")
    unavailable: bool | None = Field(default=None, alias="isUnavailable")


class AtHomeChapter(Answer):
    hash: Text
    data: tuple[Text, ...] = ()
    saver: tuple[Text, ...] = Field(default=(), alias="dataSaver")


class AtHome(Answer):
    base: Text = Field(alias="baseUrl", min_length=1)
    chapter: AtHomeChapter


def manga(entity: Entity, source: str) -> Manga:
    """A manga; its title in English if there is one, else as it is written in Latin letters, else the first."""
    said = MangaAttributes.model_validate(entity.attributes)
    alternatives = [(code, text(title)) for one in said.alt_titles for code, title in one.items()]
    titles = [*((code, text(title)) for code, title in said.title.items()), *alternatives]
    known = {code: title for code, title in reversed(titles) if title}
    main = next((known[code] for code in ("en", *ROMANIZED) if code in known), "")
    main = main or next((title for _, title in titles if title), entity.id)
    return Manga(
        source=source,
        id=entity.id,
        title=main,
        alt_titles=tuple(dict.fromkeys(title for _, title in titles if title and title != main)),
        authors=tuple(dict.fromkeys(_names(entity.related("author", "artist"), "name"))),
        description=text(said.description),
        year=said.year,
        status=said.status,
        languages=said.languages,
        original_language=said.original or None,
        cover_url=_cover(entity),
        url=f"{TITLE}{entity.id}",
        rating=Rating(said.rating) if said.rating in set(Rating) else None,
    )


def latest(entity: Entity) -> str:
    """The id of the newest chapter of a manga, in whichever language; empty where it has none."""
    return text(entity.attributes.get("latestUploadedChapter"))


def _names(relations: Iterable[Relation], field: str) -> list[str]:
    return [name for one in relations if (name := text(one.attributes.get(field)))]


def _cover(entity: Entity) -> str | None:
    files = _names(entity.related("cover_art"), "fileName")
    usable = files and all(c.isascii() and (c.isalnum() or c in "-._") for c in files[0])
    return f"{COVER}{entity.id}/{files[0]}.512.jpg" if usable else None


def chapters(entities: Sequence[Entity]) -> tuple[Chapter, ...]:
    """The chapters of a feed that lists the newest first, in reading order, each once."""
    listed = {entity.id: chapter(entity) for entity in entities if entity.id}
    return tuple(in_reading_order(list(listed.values())))


def chapter(entity: Entity) -> Chapter:
    """A chapter; one that MangaDex only links to, or took away, is not available."""
    said = ChapterAttributes.model_validate(entity.attributes)
    number = plain_number(said.chapter)
    external = said.external if said.external.startswith(("http://", "https://")) else ""
    unusual = said.chapter if number is None else ""  # such as "101v2"
    return Chapter(
        id=entity.id,
        number=number,
        volume=plain_number(said.volume),
        title=" ".join(filter(None, [unusual, said.title])) or ("" if number else "Oneshot"),
        language=said.language or None,
        groups=tuple(dict.fromkeys(_names(entity.related("scanlation_group"), "name"))),
        available=not (said.unavailable or (said.external and not said.pages)),
        url=external or f"{CHAPTER}{entity.id}",
    )
