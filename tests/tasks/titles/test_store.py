"""Followed titles on a real Redis: what is news, who was told, and who is faster."""

import pytest
from redis.asyncio import Redis

from tasks.models import Chapter, Manga
from tasks.titles.store import TO_TELL, Parcel, TitleStore

MANGA = Manga(source="library", id="Lantern Road", title="Lantern Road")
NOW = 1_000_000.0
OUTBOX = "manhwa:test:outbox"


def chapter(number: str | None, id: str = "", **fields: object) -> Chapter:  # noqa: A002 - as the model calls it
    return Chapter.model_validate({"id": id or f"c{number}", "number": number, "language": "en", **fields})


ONE, TWO = chapter("1"), chapter("2")


@pytest.fixture
def titles(redis: Redis) -> TitleStore:
    return TitleStore(redis)


async def found(titles: TitleStore, *chapters: Chapter) -> int:
    return await titles.found(MANGA.key, chapters, "", NOW, NOW + 60)


async def news_of(titles: TitleStore, follower: str) -> list[str]:
    pending = await titles.pending(MANGA.key, follower)
    assert pending is not None
    return [one.chapters[0].label for one in pending.items.values()]


async def test_what_was_there_is_no_news_and_what_comes_is_news_once(titles: TitleStore) -> None:
    assert await titles.follow(MANGA, "1", [ONE])
    assert not await titles.follow(MANGA, "1", [ONE])
    assert await found(titles, ONE, TWO) == 1
    assert await found(titles, ONE, TWO) == 0
    assert await news_of(titles, "1") == ["2"]
    assert await titles.to_tell(NOW, 10) == [(MANGA.key, "1")]


async def test_who_follows_later_is_told_only_what_comes_later(titles: TitleStore) -> None:
    await titles.follow(MANGA, "1", [ONE])
    await found(titles, ONE, TWO)
    await titles.follow(MANGA, "2", [ONE])
    await found(titles, ONE, TWO, chapter("3"))
    assert await news_of(titles, "1") == ["2", "3"]
    assert await news_of(titles, "2") == ["3"]


async def test_where_nothing_is_known_the_first_look_brings_no_news(titles: TitleStore) -> None:
    await titles.follow(MANGA, "1")
    assert await found(titles, ONE, TWO) == 0
    assert await found(titles, ONE, TWO, chapter("3")) == 1


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(chapter("2", "another-id"), id="another id"),
        pytest.param(chapter("2", "another-id", groups=("Others",)), id="another group"),
        pytest.param(chapter("2", "another-id", volume="1"), id="with its volume"),
        pytest.param(chapter("2.5", "c2"), id="another number"),
        pytest.param(chapter("2", "another-id", available=False, url="https://x.test/2"), id="only elsewhere"),
    ],
)
async def test_what_appears_again_is_no_news(titles: TitleStore, again: Chapter) -> None:
    await titles.follow(MANGA, "1", [ONE, TWO])
    assert await found(titles, ONE, again) == 0
    assert await found(titles, ONE, TWO, again) == 0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(chapter("2", "fr", language="fr"), id="another language"),
        pytest.param(chapter(None, "extra", title="An extra"), id="an extra"),
        pytest.param(chapter("2.5", "other"), id="between"),
    ],
)
async def test_what_only_looks_like_it_is_news(titles: TitleStore, other: Chapter) -> None:
    await titles.follow(MANGA, "1", [ONE, TWO])
    assert await found(titles, ONE, TWO, other) == 1


async def test_volumes_may_begin_their_numbers_anew(titles: TitleStore) -> None:
    first = [chapter(n, f"v1c{n}", volume="1") for n in "12"]
    await titles.follow(MANGA, "1", first)
    assert await found(titles, *first, chapter("1", "v2c1", volume="2")) == 1
    assert await found(titles, *first, chapter("1", "v2c1", volume="2")) == 0


async def test_groups_that_did_the_same_chapter_are_one_news(titles: TitleStore) -> None:
    await titles.follow(MANGA, "1", [ONE])
    both = [chapter("2", "a", groups=("A",)), chapter("2", "b", groups=("B",))]
    assert await found(titles, ONE, *both) == 1
    pending = await titles.pending(MANGA.key, "1")
    assert pending is not None
    assert [one.id for one in pending.items[1].chapters] == ["a", "b"]


async def test_news_are_passed_on_once_whoever_is_faster(titles: TitleStore, redis: Redis) -> None:
    await titles.follow(MANGA, "1", [ONE])
    await found(titles, ONE, TWO)
    assert await titles.advance(MANGA.key, "1", 0, 1, Parcel(OUTBOX, "p1", "text"))
    assert not await titles.advance(MANGA.key, "1", 0, 1, Parcel(OUTBOX, "p2", "text"))
    assert await redis.hgetall(OUTBOX) == {"p1": "text"}
    assert await titles.to_tell(NOW, 10) == []
    assert await news_of(titles, "1") == []


async def test_what_came_meanwhile_is_still_to_be_told(titles: TitleStore) -> None:
    await titles.follow(MANGA, "1", [ONE])
    await found(titles, ONE, TWO)
    await found(titles, ONE, TWO, chapter("3"))
    assert await titles.advance(MANGA.key, "1", 0, 1)
    assert await titles.to_tell(NOW, 10) == [(MANGA.key, "1")]
    assert await news_of(titles, "1") == ["3"]


async def test_the_last_who_unfollows_takes_the_title_along(titles: TitleStore, redis: Redis) -> None:
    for follower in "12":
        await titles.follow(MANGA, follower, [ONE])
    await found(titles, ONE, TWO)
    await titles.unfollow(MANGA.key, "1")
    assert await titles.read(MANGA.key)
    assert await titles.to_tell(NOW, 10) == [(MANGA.key, "2")]
    await titles.unfollow(MANGA.key, "2")
    assert await titles.read(MANGA.key) is None
    assert [key async for key in redis.scan_iter(f"*{MANGA.key}*")] == []
    assert await titles.count(MANGA.source) == 0
    assert await redis.zcard(TO_TELL) == 0
    assert await found(titles, ONE, TWO) == -1


async def test_only_one_looks_and_those_due_soon_are_looked_at_with_it(titles: TitleStore) -> None:
    for n in range(3):
        await titles.follow(Manga(source="library", id=str(n), title="T"), "1", [])
    later = 4e9
    assert await titles.take("library", 0, later, 10, 0) == []
    taken = await titles.take("library", later, later + 60, 2, later)
    assert len(taken) == 2
    rest = await titles.take("library", later, later + 60, 2, later)
    assert len(rest) == 1
    assert not set(taken) & set(rest)
    assert await titles.take("library", later, later + 60, 2, later) == []
    assert len(await titles.take("library", later + 60, later + 120, 10, later + 60)) == 3


async def test_who_is_put_off_is_told_later(titles: TitleStore) -> None:
    await titles.follow(MANGA, "1", [ONE])
    await found(titles, ONE, TWO)
    await titles.put_off(MANGA.key, "1", NOW + 5)
    assert await titles.to_tell(NOW, 10) == []
    assert await titles.to_tell(NOW + 5, 10) == [(MANGA.key, "1")]
    await titles.put_off(MANGA.key, "1", None)
    assert await titles.to_tell(NOW + 5, 10) == []
    await titles.remind(MANGA.key, "1")
    assert await titles.to_tell(9e9, 10) == [(MANGA.key, "1")]


async def test_another_follower_takes_the_place_of_one(titles: TitleStore) -> None:
    await titles.follow(MANGA, "1", [ONE])
    await found(titles, ONE, TWO)
    await titles.hand_on(MANGA.key, "1", "2")
    assert await titles.pending(MANGA.key, "1") is None
    assert await news_of(titles, "2") == ["2"]
    assert await titles.to_tell(NOW, 10) == [(MANGA.key, "2")]


async def test_a_look_that_fails_is_remembered_until_one_goes_well(titles: TitleStore) -> None:
    await titles.follow(MANGA, "1", [ONE])
    await titles.failed(MANGA.key, NOW, NOW + 60, "not_found")
    await titles.failed(MANGA.key, NOW, NOW + 60, "source_down", counts=False)
    title = await titles.read(MANGA.key)
    assert title is not None
    assert (title.failures, title.trouble) == (1, "source_down")
    await titles.same(MANGA.key, NOW, NOW + 60)
    title = await titles.read(MANGA.key)
    assert title is not None
    assert (title.failures, title.trouble, title.looked_at, title.whole_at) == (0, "", NOW, 0.0)
    assert await titles.looks() == {"library|failed": 2, "library|same": 1}
