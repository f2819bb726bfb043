"""Whole chapters on disk: exact keys, a limit, and nothing that is not whole."""

import errno
import hashlib
import os
import time
from pathlib import Path

import pytest

from tasks import cache as cache_module
from tasks.archives.parts import PageFile
from tasks.cache import ChapterCache, cache_key
from tasks.models import Chapter, Quality
from tasks.page_folder import PageFolder
from tests.tasks.test_page_folder import picture, put


class Jobs:
    """Folders of jobs, one chapter each, and the cache beside them."""

    def __init__(self, path: Path, limit: int = 10**9) -> None:
        self._path = path
        self._number = 0
        self.cache = ChapterCache(path / "chapters", limit)

    def folder(self) -> PageFolder:
        self._number += 1
        folder = PageFolder(self._path / str(self._number), 1)
        folder.open()
        return folder

    def kept(self, key: str, *shades: int) -> list[bytes]:
        """A job got a chapter with these pages, and it is kept under that key."""
        folder, bodies = self.folder(), [picture(shade) for shade in shades]
        pages = [put(folder, number, body) for number, body in reversed(list(enumerate(bodies, start=1)))]
        self.cache.keep(key, sorted(pages, key=lambda page: page.number))
        return bodies

    def taken(self, key: str) -> list[bytes] | None:
        """What another job gets of it."""
        pages = self.cache.take(key, self.folder())
        return [pages[number].read() for number in sorted(pages)] if pages else None


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def test_a_chapter_is_taken_as_it_was_kept(jobs: Jobs, tmp_path: Path) -> None:
    bodies = jobs.kept("a", 1, 2, 3)
    assert jobs.taken("a") == bodies
    assert jobs.taken("b") is None
    # A worker that takes a chapter over and is killed leaves it whole to the next one.
    folder = jobs.folder()
    jobs.cache.take("a", folder)
    last = PageFolder(tmp_path / str(jobs._number), 2)  # noqa: SLF001 - the same folder once more
    assert (sorted(last.open()), last.total) == ([1, 2, 3], 3)


def test_what_was_taken_stays_when_the_cache_lets_go(jobs: Jobs) -> None:
    bodies = jobs.kept("a", 1, 2)
    pages = jobs.cache.take("a", jobs.folder())
    assert jobs.cache.shrink(0) > 0
    assert jobs.taken("a") is None
    assert pages
    assert [page.read() for page in pages.values()] == bodies


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for age, key in enumerate("abcd"):
        jobs.kept(key, age)
        moment = time.time() - 1000 + age
        os.utime(tmp_path / "chapters" / key, (moment, moment))
    assert jobs.taken("a")
    size = jobs.cache.size
    assert jobs.cache.shrink() == 0
    jobs.cache.shrink(size * 2 // 3)
    assert [key for key in "abcd" if jobs.taken(key)] == ["a", "d"]


def test_nothing_is_kept_beyond_the_limit_after_a_sweep(tmp_path: Path) -> None:
    none = Jobs(tmp_path / "none", 0)
    none.kept("a", 1)
    assert none.taken("a") is None
    assert not (tmp_path / "none" / "chapters").exists()
    little = Jobs(tmp_path / "little", 5000)
    for shade, key in enumerate("abcd"):
        little.kept(key, shade)
    little.cache.shrink()
    assert 0 < little.cache.size <= 5000


def test_a_chapter_that_is_too_old_is_asked_for_anew(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = jobs.kept("a", 1)
    monkeypatch.setattr(cache_module, "LONGEST_KEPT", -1)
    assert jobs.taken("a") is None
    monkeypatch.undo()
    jobs.kept("a", 2)
    assert jobs.taken("a") == older  # it was not too old after all
    moment = time.time() - 2 * cache_module.LONGEST_KEPT
    os.utime(tmp_path / "chapters" / "a" / "index.json", (moment, moment))
    assert jobs.taken("a") is None
    newer = jobs.kept("a", 2)
    assert jobs.taken("a") == newer


def test_a_damaged_chapter_is_never_served(jobs: Jobs, tmp_path: Path) -> None:
    for key, end in (("cut", b""), ("changed", bytes(10))):
        jobs.kept(key, 1, 2)
        file = tmp_path / "chapters" / key / "pages.1"
        file.write_bytes(file.read_bytes()[:-10] + end)
        assert jobs.taken(key) is None
        assert not file.parent.exists()
    jobs.kept("index", 1)
    (tmp_path / "chapters" / "index" / "index.json").write_text("{")
    assert jobs.taken("index") is None


def test_two_jobs_that_keep_the_same_chapter(jobs: Jobs) -> None:
    bodies = jobs.kept("a", 1, 2)
    jobs.kept("a", 1, 2)
    assert jobs.taken("a") == bodies
    assert jobs.cache.shrink() == 0


def test_the_key_is_exact() -> None:
    chapter = Chapter(id="c1", number="1", language="en", groups=("A",))
    others = [
        cache_key("other", chapter, Quality.ORIGINAL),
        cache_key("demo", chapter, Quality.SMALLER),
        *(
            cache_key("demo", chapter.model_copy(update=change), Quality.ORIGINAL)
            for change in ({"id": "c2"}, {"language": "es"}, {"groups": ("A", "B")})
        ),
    ]
    key = cache_key("demo", chapter, Quality.ORIGINAL)
    assert len({key, *others}) == 6
    # What it is called does not matter.
    assert key == cache_key("demo", chapter.model_copy(update={"title": "Fog", "number": "01"}), Quality.ORIGINAL)


def test_a_page_of_its_own_file_is_kept_as_well(jobs: Jobs) -> None:
    folder = jobs.folder()
    body = picture(5, 1000, "PNG")
    page: PageFile = put(folder, 1, body)
    jobs.cache.keep("large", [page])
    assert jobs.taken("large") == [body]


def test_a_chapter_that_lost_a_file_goes_and_comes_anew(jobs: Jobs, tmp_path: Path) -> None:
    jobs.kept("a", 1)
    (tmp_path / "chapters" / "a" / "pages.1").unlink()
    assert jobs.taken("a") is None
    bodies = jobs.kept("a", 2)
    assert jobs.taken("a") == bodies


def pages_of(archive: Path, bodies: list[bytes], before: int = 0) -> list[PageFile]:
    """The archive now, with these pages in it behind so many other bytes."""
    archive.write_bytes(b"".join([bytes(before), *bodies]))
    pages = []
    for number, body in enumerate(bodies, start=1):
        pages.append(PageFile(number, archive, len(body), hashlib.sha256(body).hexdigest(), ".jpg", before))
        before += len(body)
    return pages


def test_where_nothing_can_be_linked_a_chapter_is_kept_without_what_else_is_in_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr(os, "link", refuse)
    jobs = Jobs(tmp_path)
    bodies = [picture(shade) for shade in range(3)]
    jobs.cache.keep("a", pages_of(tmp_path / "1.1.zip", bodies, before=10**6))
    assert jobs.cache.size < 10**5
    assert jobs.taken("a") == bodies


def test_chapters_of_one_archive_take_its_room_once_and_until_the_last_goes(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    archive = tmp_path / "1.1.zip"
    for key, page in zip("abcd", pages_of(archive, [picture(shade) for shade in range(4)]), strict=True):
        jobs.cache.keep(key, [page])
    jobs.kept("e", 5)
    indexes = sum(path.stat().st_size for path in (tmp_path / "chapters").rglob("index.json"))
    assert jobs.cache.size == indexes + archive.stat().st_size + (tmp_path / "1" / "pages.1").stat().st_size
    for age, key in enumerate("edcba"):
        os.utime(tmp_path / "chapters" / key, (time.time() - age, time.time() - age))
    # The oldest three of it free next to nothing, and the last one all the rest.
    for key in "abc":
        assert jobs.cache.shrink(jobs.cache.size - 1) < 300, key
    assert jobs.cache.shrink(jobs.cache.size - 1) > archive.stat().st_size
    assert [jobs.taken(key) is not None for key in "abcde"] == [False, False, False, False, True]


def test_what_would_free_nothing_does_not_go_first(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    for key, page in zip("abc", pages_of(tmp_path / "1.1.zip", [picture(shade) for shade in range(3)]), strict=True):
        jobs.cache.keep(key, [page])
    jobs.kept("d", 5)
    for age, key in enumerate("cdba"):
        os.utime(tmp_path / "chapters" / key, (time.time() - age, time.time() - age))
    jobs.cache.shrink(jobs.cache.size - 2000)
    assert [jobs.taken(key) is not None for key in "abcd"] == [True, True, True, False]
