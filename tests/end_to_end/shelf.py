"""A source with one title on it, whose pages can be replaced, held back and broken."""

import io
import json
import threading
from typing import Any

from PIL import Image

from tests.web_server import Reply, WebServer, as_json

SEARCH = "/manga/mangapill/harbour?page=1"
INFO = "/manga/mangapill/info?id=7%2Fharbour-lights"


def picture(shade: int, kind: str = "JPEG") -> bytes:
    target = io.BytesIO()
    Image.effect_noise((200, 300), 60).point(lambda value: (value + shade) % 256).save(target, kind)
    return target.getvalue()


def image(body: bytes, **more: Any) -> Reply:
    return Reply(body, content_type="image/jpeg", **more)


class Shelf:
    """The title "Harbour Lights" on the server: chapters of two pages each, whose pages can be replaced."""

    def __init__(self, server: WebServer, chapters: int = 3) -> None:
        self.server = server
        self.pictures: dict[str, bytes] = {}
        server.reset()
        server.on("/manga/mangapill", as_json({"intro": "hello"}))
        server.on(SEARCH, as_json({"results": [{"id": "7/harbour-lights", "title": "Harbour Lights"}]}))
        listed = [{"id": self.chapter(n), "title": f"Chapter {n}", "chapter": str(n)} for n in range(chapters, 0, -1)]
        server.on(INFO, as_json({"id": "7/harbour-lights", "title": "Harbour Lights", "chapters": listed}))
        for n in range(1, chapters + 1):
            self.lists(n, f"{server.url}/{n}-1.jpg", f"{server.url}/{n}-2.jpg")
            for page in (1, 2):
                self.pictures[f"{n}-{page}"] = picture(10 * n + page)
                self.has(n, page, image(self.pictures[f"{n}-{page}"]))

    @staticmethod
    def chapter(number: int) -> str:
        return f"7-1000{number}000/harbour-lights-chapter-{number}"

    def lists(self, chapter: int, *addresses: str) -> None:
        self.server.on(self.list_of(chapter), as_json([{"img": address, "page": 1} for address in addresses]))

    def list_of(self, chapter: int) -> str:
        """Where the chapter's page list is."""
        return f"/manga/mangapill/read?chapterId={self.chapter(chapter).replace('/', '%2F')}"

    def has(self, chapter: int, page: int, *replies: Reply) -> None:
        self.server.on(f"/{chapter}-{page}.jpg", *replies)

    def holds_back(self, chapter: int, page: int) -> threading.Event:
        """The page comes once the event is set."""
        let_go = threading.Event()
        self.has(chapter, page, image(self.pictures[f"{chapter}-{page}"], wait_for=let_go))
        return let_go

    def command(self, *chapters: int) -> str:
        return "/download mangapill " + " ".join(self.chapter(n) for n in chapters)

    def is_called(self, title: str) -> None:
        """The title has that name from now on."""
        told = json.loads(self.server.replies[INFO][-1].body)
        self.server.on(INFO, as_json({**told, "title": title}))
        self.server.on(SEARCH, as_json({"results": [{"id": told["id"], "title": title}]}))


def make_large(shelf: Shelf, edge: int = 900) -> None:
    """Six pages of `edge` times `edge` bytes each."""
    for n in range(6):
        target = io.BytesIO()
        Image.effect_noise((edge, edge), 200 + n).save(target, "BMP")
        shelf.has(n // 2 + 1, n % 2 + 1, Reply(target.getvalue(), content_type="image/bmp"))
