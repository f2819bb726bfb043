"""What holds for every plan of parts, whatever the pages are."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tasks.archives.names import archive_name, chapter_folders
from tasks.archives.parts import ARCHIVE_OVERHEAD, ENTRY_OVERHEAD, ChapterPages, PageFile, plan
from tasks.models import Chapter, DownloadRequest, Split

LIMIT = 1_000_000
LARGEST = (LIMIT - ARCHIVE_OVERHEAD) // 2 - ENTRY_OVERHEAD
SIZES = st.lists(st.integers(0, LARGEST), min_size=1, max_size=12)
VOLUMES = st.sampled_from([None, "1", "2"])
TITLES = st.lists(st.text(max_size=300), max_size=20)


def chapters_of(shapes: list[tuple[list[int], str | None]]) -> list[ChapterPages]:
    return [
        ChapterPages(
            Chapter(id=str(place), number=str(place), volume=volume),
            f"Chapter {place}",
            len(sizes),
            [PageFile(n, Path(f"{place}-{n}"), size, "", ".jpg") for n, size in enumerate(sizes, start=1)],
        )
        for place, (sizes, volume) in enumerate(shapes)
    ]


@given(st.lists(st.tuples(SIZES, VOLUMES), max_size=12), st.sampled_from(Split))
def test_every_page_is_in_one_part_in_its_order_and_no_part_is_too_large(
    shapes: list[tuple[list[int], str | None]], split: Split
) -> None:
    chapters = chapters_of(shapes)
    parts = plan(chapters, LIMIT, split)
    dealt = [page for part in parts for chapter in part.chapters for page in chapter.pages]
    assert dealt == [page for chapter in chapters for page in chapter.pages]
    for part in parts:
        assert part.chapters
        pages = [page for chapter in part.chapters for page in chapter.pages]
        assert ARCHIVE_OVERHEAD + sum(page.size + ENTRY_OVERHEAD for page in pages) <= LIMIT
        ids = {chapter.chapter.id for chapter in part.chapters}
        assert split is not Split.CHAPTER or len(ids) == 1
        assert split is not Split.VOLUME or len({chapter.chapter.volume for chapter in part.chapters}) == 1
    assert plan(chapters, LIMIT, split) == parts


@given(st.lists(st.tuples(SIZES, VOLUMES), max_size=12))
def test_a_chapter_is_cut_only_where_no_file_could_hold_it(shapes: list[tuple[list[int], str | None]]) -> None:
    chapters = chapters_of(shapes)
    found = [chapter.chapter.id for part in plan(chapters, LIMIT) for chapter in part.chapters]
    for chapter in chapters:
        fits = sum(page.size + ENTRY_OVERHEAD for page in chapter.pages) <= LIMIT - ARCHIVE_OVERHEAD
        assert (found.count(chapter.chapter.id) == 1) >= fits


@given(TITLES)
def test_folders_differ_and_are_names_everywhere(titles: list[str]) -> None:
    folders = chapter_folders(Chapter(id=f"c{n}", title=title) for n, title in enumerate(titles))
    assert len({folder.casefold() for folder in folders}) == len(titles)
    for folder in folders:
        assert folder == Path(folder).name
        assert folder not in {"", ".", ".."}
        assert len(folder.encode()) < 255
        assert folder.isprintable() or not folder.isascii()


@given(st.text(min_size=1, max_size=400), st.lists(st.text(max_size=80), max_size=30), st.integers(1, 99))
def test_a_file_s_name_is_one_everywhere(title: str, labels: list[str], part: int) -> None:
    name = archive_name(DownloadRequest(source="demo", title=title, chapters=()), labels, part, 99)
    assert name == Path(name).name
    assert len(name.encode()) < 255
    assert name.endswith(".zip")
