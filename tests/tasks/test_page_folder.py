"""A chapter's pages on disk: what is whole is found again, whatever the worker died over."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tasks.archives.parts import PageFile
from tasks.errors import PageBroken, PageTooLarge
from tasks.page_folder import IN_MEMORY, PageFolder


def picture(shade: int, side: int = 60, kind: str = "JPEG") -> bytes:
    target = io.BytesIO()
    Image.effect_noise((side, side), 90).point(lambda value: (value + shade) % 256).save(target, kind)
    return target.getvalue()


def put(folder: PageFolder, number: int, body: bytes, limit: int = 10**9) -> PageFile:
    incoming = folder.incoming(number, limit)
    try:
        for start in range(0, len(body), 50_000):
            incoming.add(body[start : start + 50_000])
        return incoming.finish()
    finally:
        incoming.discard()


@pytest.fixture
def folder(tmp_path: Path) -> PageFolder:
    folder = PageFolder(tmp_path / "chapter", 1)
    assert folder.open() == {}
    return folder


def again(tmp_path: Path, fence: int = 2) -> PageFolder:
    """The folder as the next worker finds it."""
    return PageFolder(tmp_path / "chapter", fence)


def test_the_next_worker_finds_what_is_whole(folder: PageFolder, tmp_path: Path) -> None:
    small = [picture(n) for n in range(3)]
    large = picture(9, 1000, "PNG")
    assert len(large) > IN_MEMORY
    folder.note_total(5)
    pages = [put(folder, n, body) for n, body in ((2, small[0]), (1, small[1]), (5, large), (3, small[2]))]
    assert [page.suffix for page in pages] == [".jpg", ".jpg", ".png", ".jpg"]
    found = again(tmp_path)
    kept = found.open()
    assert (found.total, sorted(kept)) == (5, [1, 2, 3, 5])
    assert [kept[n].read() for n in (1, 2, 3, 5)] == [small[1], small[0], small[2], large]
    # It goes on in files of its own, and the third worker finds both.
    put(found, 4, small[0])
    assert sorted(again(tmp_path, 3).open()) == [1, 2, 3, 4, 5]
    # Large pages have files of their own, small ones have not.
    assert sorted(path.name for path in (tmp_path / "chapter").iterdir()) == ["0005.1", "pages.1", "pages.2"]


@pytest.mark.parametrize("lost", [1, 100, 1000])
def test_what_a_kill_cut_short_does_not_count(folder: PageFolder, tmp_path: Path, lost: int) -> None:
    folder.note_total(2)
    first, second = picture(1), picture(2)
    put(folder, 1, first)
    put(folder, 2, second)
    file = tmp_path / "chapter" / "pages.1"
    file.write_bytes(file.read_bytes()[:-lost])
    kept = again(tmp_path).open()
    assert {number: page.read() for number, page in kept.items()} == {1: first}


def test_a_line_that_a_kill_cut_short_does_not_count(folder: PageFolder, tmp_path: Path) -> None:
    put(folder, 1, picture(1))
    with (tmp_path / "chapter" / "pages.1").open("ab") as file:
        file.write(b'{"number":2,"fi')
    assert sorted(again(tmp_path).open()) == [1]


def test_bytes_that_changed_do_not_count(folder: PageFolder, tmp_path: Path) -> None:
    put(folder, 1, picture(1))
    page = put(folder, 2, picture(2))
    with (tmp_path / "chapter" / "pages.1").open("r+b") as file:
        file.seek(page.offset + 500)
        file.write(b"\0\0\0\0")
    assert sorted(again(tmp_path).open()) == [1]


@pytest.mark.parametrize("size", [1000, IN_MEMORY + 1000])
def test_what_is_no_picture_leaves_nothing(folder: PageFolder, tmp_path: Path, size: int) -> None:
    with pytest.raises(PageBroken):
        put(folder, 1, b"x" * size)
    with pytest.raises(PageTooLarge):
        put(folder, 1, picture(1) + bytes(size), limit=size)
    assert not [path for path in (tmp_path / "chapter").iterdir() if path.stat().st_size]
    put(folder, 1, picture(1))
    assert sorted(again(tmp_path).open()) == [1]


def test_the_youngest_worker_has_the_last_word(tmp_path: Path) -> None:
    bodies = {}
    for fence in (1, 9, 10, 11):
        folder = PageFolder(tmp_path / "chapter", fence)
        folder.open()
        folder.note_total(fence)
        bodies[fence] = picture(fence)
        put(folder, 1, bodies[fence])
    last = again(tmp_path, 12)
    assert last.open()[1].read() == bodies[11]
    assert last.total == 11


def test_a_total_that_a_kill_cut_short_does_not_count(folder: PageFolder, tmp_path: Path) -> None:
    folder.note_total(123)
    file = tmp_path / "chapter" / "pages.1"
    file.write_bytes(file.read_bytes()[:-2])
    found = again(tmp_path)
    found.open()
    assert found.total is None
