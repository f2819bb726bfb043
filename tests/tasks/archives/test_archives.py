"""Archives: names, parts, and the same bytes for the same input."""

import json
import zipfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import darkseid
import pytest
import xmlschema
from PIL import Image

from tasks.archives.growing import GrowingZip
from tasks.archives.names import archive_name, chapter_folder, chapter_folders, chapter_range
from tasks.archives.parts import ARCHIVE_OVERHEAD, ENTRY_OVERHEAD, ChapterPages, PageFile, Part, plan
from tasks.archives.pictures import make_smaller
from tasks.archives.zip import Archive, Checkpoint
from tasks.jobs.job import Failure, Missing
from tasks.models import ArchiveFormat, Chapter, DownloadRequest, Split


@pytest.mark.parametrize(
    ("chapter", "name"),
    [
        (Chapter(id="x", number="12.5", title="The End"), "Chapter 0012.5 - The End"),
        (Chapter(id="x", number="7"), "Chapter 0007"),
        (Chapter(id="a/b c", title=""), "Chapter a b c"),
        (Chapter(id="x", title="Oneshot"), "Oneshot"),
        (Chapter(id="x", number="1", title="../../etc/passwd"), "Chapter 0001 - .. .. etc passwd"),
        (Chapter(id="x", title=".."), "Chapter"),
        (Chapter(id="x", title="CON"), "CON_"),
        (Chapter(id="x", number="1", title="a\x00b\nc"), "Chapter 0001 - a b c"),
    ],
)
def test_a_chapter_gets_a_folder_name_that_is_one_everywhere(chapter: Chapter, name: str) -> None:
    assert chapter_folder(chapter) == name


def test_names_are_cut_by_bytes_and_never_in_a_character() -> None:
    name = archive_name(DownloadRequest(source="demo", title="猫" * 300, chapters=()), ["1"], 1, 1)
    assert len(name.encode()) < 200
    assert name.endswith(" - 1.zip")


def test_folders_of_one_archive_differ() -> None:
    chapters = [Chapter(id="a", number="1"), Chapter(id="b", number="1"), Chapter(id="c", number="1", title="X")]
    assert chapter_folders(chapters) == ["Chapter 0001", "Chapter 0001 (2)", "Chapter 0001 - X"]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["1", "2", "3", "5", "8.5"], "1–3, 5, 8.5"),
        (["1"], "1"),
        ([], ""),
        (["Extra", "1", "2"], "Extra, 1–2"),
        (["9", "10", "11"], "9–11"),
    ],
)
def test_chapters_are_told_in_short(labels: list[str], text: str) -> None:
    assert chapter_range(labels) == text


def chapter_of(tmp_path: Path, number: int, sizes: list[int]) -> ChapterPages:
    pages = []
    for n, size in enumerate(sizes, start=1):
        path = tmp_path / f"{number}-{n}.jpg"
        path.write_bytes(bytes([number]) * size)
        pages.append(PageFile.of(n, path))
    return ChapterPages(Chapter(id=f"c{number}", number=str(number)), f"Chapter {number:04}", len(sizes), pages)


def shape(parts: list[Part]) -> list[list[tuple[str, int]]]:
    return [[(chapter.chapter.label, len(chapter.pages)) for chapter in part.chapters] for part in parts]


def test_parts_end_at_chapters_and_inside_one_only_where_it_is_too_large(tmp_path: Path) -> None:
    limit = ARCHIVE_OVERHEAD + 4 * (1000 + ENTRY_OVERHEAD)
    chapters = [chapter_of(tmp_path, n, [1000] * count) for n, count in ((1, 2), (2, 2), (3, 3), (4, 6), (5, 1))]
    assert shape(plan(chapters, limit)) == [
        [("1", 2), ("2", 2)],
        [("3", 3)],
        [("4", 4)],
        [("4", 2), ("5", 1)],
    ]


def never() -> None:
    """Nothing ends the writing."""


def write_zip(archive: Archive, unfinished: Path, file: Path, checkpoint: Checkpoint) -> None:
    unfinished.unlink(missing_ok=True)  # that is a name for one file in a job
    with ExitStack() as stack:
        growing = GrowingZip(unfinished)
        stack.callback(growing.abandon)
        for chapter in archive.part.chapters:
            growing.add(chapter, checkpoint)
        growing.finish(archive, file)


def test_no_part_is_larger_than_the_limit(tmp_path: Path) -> None:
    limit = 200_000
    chapters = [chapter_of(tmp_path, n, [7_000 * n, 3_000, 12_345]) for n in range(1, 12)]
    request = DownloadRequest(source="demo", title="T" * 100, chapters=tuple(c.chapter for c in chapters))
    parts = plan(chapters, limit)
    for n, part in enumerate(parts, 1):
        write_zip(Archive(request, part, [], n, len(parts)), tmp_path / "x.part", tmp_path / "x.zip", never)
        assert (tmp_path / "x.zip").stat().st_size <= limit


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    chapters = [chapter_of(tmp_path, n, [500, 700]) for n in (1, 2)]
    request = DownloadRequest(source="demo", title="T", chapters=tuple(c.chapter for c in chapters))
    missing = [Missing(chapter_id="c9", chapter="9", failure=Failure(code="source_down", detail={"source": "demo"}))]
    for name in ("a", "b"):
        write_zip(Archive(request, Part(list(chapters)), missing, 1, 1), tmp_path / "part", tmp_path / name, never)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "a") as archive:
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        assert archive.read("Chapter 0001/002.jpg") == b"\x01" * 700
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["missing"][0]["failure"]["code"] == "source_down"
    assert manifest["chapters"][0]["files"][0]["size"] == 500


def test_a_checkpoint_ends_the_writing(tmp_path: Path) -> None:
    chapter = chapter_of(tmp_path, 1, [500, 700])
    request = DownloadRequest(source="demo", title="T", chapters=(chapter.chapter,))
    archive = Archive(request, Part([chapter]), [], 1, 1)

    class Enough(Exception):
        pass

    def after(number: int) -> Checkpoint:
        left = iter(range(number))

        def checkpoint() -> None:
            if next(left, None) is None:
                raise Enough

        return checkpoint

    for checkpoints in range(2):
        with pytest.raises(Enough):
            write_zip(archive, tmp_path / "x.part", tmp_path / "x.zip", after(checkpoints))
        assert not (tmp_path / "x.zip").exists()


def test_with_split_no_two_chapters_share_a_file(tmp_path: Path) -> None:
    limit = ARCHIVE_OVERHEAD + 4 * (1000 + ENTRY_OVERHEAD)
    chapters = [chapter_of(tmp_path, n, [1000] * count) for n, count in ((1, 2), (2, 1), (3, 5))]
    assert shape(plan(chapters, limit, Split.CHAPTER)) == [[("1", 2)], [("2", 1)], [("3", 4)], [("3", 1)]]


# The schema as readers of the format keep it.
SCHEMA = xmlschema.XMLSchema(str(Path(darkseid.__file__).parent / "schemas/ComicInfo/v2/ComicInfo.xsd"))


def comic_info_of(tmp_path: Path, chapters: list[Chapter], title: str = "Harbour Lights") -> dict[str, str]:
    picture = tmp_path / "p.png"
    Image.new("L", (30, 20)).save(picture)
    page = PageFile.of(1, picture)
    pages = [ChapterPages(one, one.label, 1, [page]) for one in chapters]
    request = DownloadRequest(
        source="demo",
        title=title,
        chapters=tuple(chapters),
        format=ArchiveFormat.CBZ,
        right_to_left=True,
        url="https://example.org/harbour",
    )
    file = tmp_path / "x.cbz"
    write_zip(Archive(request, Part(pages), [], 1, 1), tmp_path / "x.part", file, lambda: None)
    with zipfile.ZipFile(file) as archive:
        written = archive.read("ComicInfo.xml")
    SCHEMA.validate(written.decode())
    root = ElementTree.fromstring(written)  # noqa: S314 - our own
    spreads = [page.attrib["Image"] for page in root.iter("Page") if page.get("DoublePage") == "true"]
    assert spreads == [str(place) for place in range(len(chapters))]
    return {child.tag: child.text or "" for child in root if child.tag != "Pages"}


def test_a_cbz_says_what_it_is(tmp_path: Path) -> None:
    chapter = Chapter(id="c", number="12.5", volume="2", title="Fog", language="en", groups=("B & C", "A"))
    assert comic_info_of(tmp_path, [chapter], "A\x00 <b>") == {
        "Title": "Fog",
        "Series": "A <b>",
        "Number": "12.5",
        "Volume": "2",
        "Web": "https://example.org/harbour",
        "PageCount": "1",
        "LanguageISO": "en",
        "Manga": "YesAndRightToLeft",
        "ScanInformation": "A, B & C",
    }
    several = comic_info_of(tmp_path, [Chapter(id="1", number="1"), Chapter(id="2", number="2", language="es")])
    assert several == {
        "Title": "1–2",
        "Series": "Harbour Lights",
        "Web": "https://example.org/harbour",
        "PageCount": "2",
        "Manga": "YesAndRightToLeft",
    }


def test_a_page_is_made_smaller_where_that_helps(tmp_path: Path) -> None:
    page, part, smaller = tmp_path / "1.png", tmp_path / "1.part", tmp_path / "s.jpg"
    Image.effect_noise((2400, 900), 60).convert("RGBA").save(page)
    assert make_smaller(page, part, smaller, width=1200, kind="JPEG") == smaller
    first = smaller.read_bytes()
    with Image.open(smaller) as picture:
        assert (picture.format, picture.size) == ("JPEG", (1200, 450))
    assert make_smaller(page, part, smaller, width=1200, kind="JPEG").read_bytes() == first
    Image.new("RGB", (10, 10)).save(page)
    assert make_smaller(page, part, smaller, width=1200, kind="JPEG") == page
    frames = [Image.effect_noise((300, 300), shade) for shade in (20, 90)]
    frames[0].save(tmp_path / "1.gif", save_all=True, append_images=frames[1:])
    assert make_smaller(tmp_path / "1.gif", part, smaller, width=1200, kind="JPEG") == tmp_path / "1.gif"
    assert not part.exists()


def test_a_page_can_be_made_smaller_as_webp_of_any_width(tmp_path: Path) -> None:
    page = tmp_path / "1.png"
    Image.effect_noise((2400, 900), 60).save(page)
    made = make_smaller(page, tmp_path / "part", tmp_path / "s.page", width=800, kind="WEBP")
    with Image.open(made) as picture:
        assert (made.name, picture.format, picture.size) == ("s.webp", "WEBP", (800, 300))


def test_a_file_for_each_volume(tmp_path: Path) -> None:
    chapters = [chapter_of(tmp_path, n, [10]) for n in range(1, 7)]
    volumes = ("1", "1", "2", None, None, "3")
    for place, volume in enumerate(volumes):
        chapters[place] = replace(chapters[place], chapter=Chapter(id=str(place), number=str(place + 1), volume=volume))
    parts = shape(plan(chapters, 10**9, Split.VOLUME))
    assert [[label for label, _ in part] for part in parts] == [["1", "2"], ["3"], ["4", "5"], ["6"]]


def test_a_request_of_an_older_record_is_understood() -> None:
    for before, now in ((True, Split.CHAPTER), (False, Split.ALL)):
        assert (
            DownloadRequest.model_validate({"source": "demo", "title": "x", "chapters": [], "split": before}).split
            is now
        )
