"""Who follows what, on a real Redis."""

import pytest
from redis.asyncio import Redis

from bot.memory import follows as module
from bot.memory.follows import Follow, Follows, TooManyFollows, Way
from bot.memory.once import UPDATE_KEY, handling
from tasks.models import ArchiveFormat, Chapter, Manga
from tasks.titles.store import TitleStore

MANGA = Manga(source="library", id="Lantern Road", title="Lantern Road")
ONE, TWO = (Chapter(id=f"c{n}", number=str(n)) for n in (1, 2))
CHAT, GROUP, NEW_GROUP = 101, -4000001, -1000000000001


def follow(chat_id: int = CHAT, manga: Manga = MANGA) -> Follow:
    return Follow(manga=manga, chat_id=chat_id, user_id=CHAT, user_name="Mina", language="en", group="Nightjar")


@pytest.fixture
def follows(redis: Redis) -> Follows:
    return Follows(redis)


@pytest.fixture
def titles(redis: Redis) -> TitleStore:
    return TitleStore(redis)


async def test_a_follow_is_kept_as_it_was_chosen(follows: Follows, titles: TitleStore) -> None:
    assert await follows.add(follow(), [ONE])
    assert not await follows.add(follow(), [ONE])
    assert await follows.of(CHAT) == [follow()]
    changed = await follows.change(CHAT, MANGA.key, way=Way.NOTICE, format=ArchiveFormat.CBZ)
    assert changed == follow().model_copy(update={"way": Way.NOTICE, "format": ArchiveFormat.CBZ})
    assert await titles.pending(MANGA.key, str(CHAT))


async def test_what_is_not_followed_any_more_is_not_changed(follows: Follows, titles: TitleStore) -> None:
    await follows.add(follow(), [ONE])
    assert await follows.remove(CHAT, MANGA.key)
    assert not await follows.remove(CHAT, MANGA.key)
    assert await follows.change(CHAT, MANGA.key, paused=True) is None
    assert await follows.of(CHAT) == []
    assert await titles.read(MANGA.key) is None


async def test_a_bot_that_was_killed_in_between_makes_it_whole(follows: Follows, titles: TitleStore) -> None:
    await follows.add(follow(), [ONE])
    await titles.unfollow(MANGA.key, str(CHAT))
    assert not await follows.add(follow(), [ONE])
    assert await titles.pending(MANGA.key, str(CHAT))


async def test_who_goes_on_is_told_what_came_while_it_paused(follows: Follows, titles: TitleStore) -> None:
    await follows.add(follow(), [ONE])
    await follows.change(CHAT, MANGA.key, paused=True)
    await titles.found(MANGA.key, [ONE, TWO], "", 1, 2)
    await titles.put_off(MANGA.key, str(CHAT), None)
    await follows.change(CHAT, MANGA.key, paused=False)
    assert await titles.to_tell(9e9, 10) == [(MANGA.key, str(CHAT))]


async def test_a_chat_follows_only_so_many(follows: Follows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FOLLOWS", 1)
    await follows.add(follow(), [])
    with pytest.raises(TooManyFollows):
        await follows.add(follow(manga=Manga(source="library", id="other", title="Other")), [])
    assert await follows.of(CHAT) == [follow()]


async def test_a_group_that_became_another_chat_follows_there(follows: Follows, titles: TitleStore) -> None:
    await follows.add(follow(GROUP), [ONE])
    await titles.found(MANGA.key, [ONE, TWO], "", 1, 2)
    await follows.move(GROUP, NEW_GROUP)
    assert await follows.of(GROUP) == []
    assert [one.chat_id for one in await follows.of(NEW_GROUP)] == [NEW_GROUP]
    assert await titles.to_tell(9e9, 10) == [(MANGA.key, str(NEW_GROUP))]


async def test_a_chat_that_is_forgotten_follows_nothing(follows: Follows, titles: TitleStore, redis: Redis) -> None:
    await follows.add(follow(), [ONE])
    await follows.forget(CHAT)
    assert await follows.of(CHAT) == []
    assert [key async for key in redis.scan_iter("manhwa:bot:follow*")] == []
    assert [key async for key in redis.scan_iter("manhwa:title:*")] == []


async def test_what_depends_on_how_it_was_is_changed_once_for_an_update(follows: Follows, redis: Redis) -> None:
    await follows.add(follow(), [ONE])
    await redis.set(f"{UPDATE_KEY}1", "1")
    handling.set("1")
    for way in (Way.NOTICE, Way.FILE):
        changed = await follows.change_once(CHAT, MANGA.key, way=way)
        assert changed
        assert changed.way is Way.NOTICE
