"""HTML as Telegram reads it: text and entities, or its own complaint. Offsets of entities count UTF-16 units."""

import html
import re
from dataclasses import dataclass

from aiogram.types import MessageEntity

from bot.local.telegram.errors import ApiError, bad_request

TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "tg-spoiler": "spoiler",
    "a": "text_link",
}
TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)((?:\s+[a-zA-Z-]+(?:\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s>]+))?)*)\s*>")
HREF = re.compile(r"href\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
NAMED = re.compile(r"&(?:lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")


@dataclass(frozen=True)
class _Open:
    tag: str
    offset: int
    byte: int
    url: str | None


def parse_html(text: str) -> tuple[str, list[MessageEntity]]:
    """The plain text and its entities. Raises `ApiError` where Telegram would."""
    plain: list[str] = []
    entities: list[MessageEntity] = []
    opened: list[_Open] = []
    at = 0
    while at < len(text):
        if text[at] == "<":
            tag = TAG.match(text, at)
            byte = len(text[:at].encode())
            if tag is None:
                raise _cannot(f"Unexpected end or unsupported tag at byte offset {byte}")
            _take_tag(tag, byte, _units("".join(plain)), opened, entities)
            at = tag.end()
        else:
            named = NAMED.match(text, at)
            plain.append(html.unescape(named[0]) if named else text[at])
            at = named.end() if named else at + 1
    if opened:
        raise _cannot(f'Can\'t find end tag corresponding to start tag "{opened[-1].tag}"')
    return "".join(plain), sorted(entities, key=lambda entity: (entity.offset, -entity.length))


def _take_tag(tag: re.Match[str], byte: int, offset: int, opened: list[_Open], entities: list[MessageEntity]) -> None:
    name = tag[2].lower()
    if name not in TAGS:
        raise _cannot(f'Unsupported start tag "{name}" at byte offset {byte}')
    if not tag[1]:
        href = HREF.search(tag[3])
        opened.append(_Open(name, offset, byte, html.unescape(href[1] or href[2]) if href else None))
        return
    if not opened or opened[-1].tag != name:
        raise _cannot(f'Unmatched end tag at byte offset {byte}, expected "</{opened[-1].tag if opened else ""}>"')
    start = opened.pop()
    if offset > start.offset:
        entities.append(
            MessageEntity(type=TAGS[name], offset=start.offset, length=offset - start.offset, url=start.url)
        )


def _cannot(reason: str) -> ApiError:
    return bad_request(f"can't parse entities: {reason}", breach=True)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
