"""An OPDS 1.2 feed, read into what it lists. Pure; nothing in it is followed here."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

ATOM = "{http://www.w3.org/2005/Atom}"
PSE = "{http://vaemendis.net/opds-pse/ns}"
SEARCHING = "{http://a9.com/-/spec/opensearch/1.1/}"
DUBLIN_CORE = ("{http://purl.org/dc/terms/}", "{http://purl.org/dc/elements/1.1/}")
STREAM = "http://vaemendis.net/opds-pse/stream"
LEADS_ON = {"subsection", "collection", ""}
ACQUISITION = "http://opds-spec.org/acquisition"
DESCRIPTION = "application/opensearchdescription+xml"
FEED = "application/atom+xml"
TERMS = "{searchTerms}"
MOST_PAGES = 5000


class NoFeed(Exception):
    """The text is no feed."""


@dataclass(frozen=True)
class Entry:
    """One thing a feed lists; addresses are whole. `feed` leads on, `stream` and `pages` are what can be read of it."""

    id: str
    title: str
    authors: tuple[str, ...] = ()
    summary: str = ""
    language: str | None = None
    feed: str = ""
    stream: str = ""
    pages: int = 0
    is_file: bool = False
    """There is a whole file to fetch."""


@dataclass(frozen=True)
class Feed:
    """What one address of a catalog answers; empty addresses = there is no such thing."""

    title: str
    entries: tuple[Entry, ...]
    next: str = ""
    search: str = ""
    """An address with `{searchTerms}` in it."""
    description: str = ""
    """Where such an address is to be had."""


def read_feed(body: bytes, address: str) -> Feed:
    """The feed that the address answered. Raises `NoFeed`."""
    root = _parsed(body)
    if root.tag not in {f"{ATOM}feed", f"{ATOM}entry"}:
        raise NoFeed(root.tag)
    links = [_Link.of(link, address) for link in root.iter(f"{ATOM}link") if link in set(root)]
    searches = [link for link in links if link.rel == "search"]
    elements = [root] if root.tag == f"{ATOM}entry" else root.findall(f"{ATOM}entry")
    return Feed(
        title=_text(root, f"{ATOM}title"),
        entries=tuple(_entry(one, address) for one in elements),
        next=next((link.address for link in links if link.rel == "next"), ""),
        search=next((link.address for link in searches if TERMS in link.address), ""),
        description=next((link.address for link in searches if link.type.startswith(DESCRIPTION)), ""),
    )


def read_description(body: bytes, address: str) -> str:
    """The address with `{searchTerms}` in an OpenSearch description; empty where there is none. Raises `NoFeed`."""
    templates = [one.attrib for one in _parsed(body).iter(f"{SEARCHING}Url")]
    usable = [
        one["template"]
        for one in templates
        if one.get("type", "").startswith(FEED) and TERMS in one.get("template", "")
    ]
    return _whole(address, usable[0]) if usable else ""


@dataclass(frozen=True)
class _Link:
    rel: str
    type: str
    address: str
    count: str

    @classmethod
    def of(cls, element: Element, base: str) -> "_Link":
        said = element.attrib
        count = said.get(f"{PSE}count", "")
        return cls(said.get("rel", ""), said.get("type", "").lower(), _whole(base, said.get("href", "")), count)


def _entry(element: Element, address: str) -> Entry:
    links = [_Link.of(link, address) for link in element.findall(f"{ATOM}link")]
    stream = next((link for link in links if link.rel == STREAM and _count(link.count)), None)
    leads_on = [link for link in links if link.type.startswith(FEED) and link.rel in LEADS_ON]
    languages = filter(None, (_text(element, f"{space}language") for space in DUBLIN_CORE))
    return Entry(
        id=_text(element, f"{ATOM}id"),
        title=_text(element, f"{ATOM}title"),
        authors=tuple(filter(None, (_text(one, f"{ATOM}name") for one in element.findall(f"{ATOM}author")))),
        summary=_text(element, f"{ATOM}summary") or _text(element, f"{ATOM}content"),
        language=next(languages, None),
        feed=next((link.address for link in leads_on), ""),
        stream=stream.address if stream else "",
        pages=_count(stream.count) if stream else 0,
        is_file=any(link.rel.startswith(ACQUISITION) and not link.type.startswith(FEED) for link in links),
    )


def _count(text: str) -> int:
    return min(int(text), MOST_PAGES) if text.isascii() and text.isdecimal() and len(text) < 9 else 0


def _whole(base: str, address: str) -> str:
    """The address as the feed at `base` means it; its braces stay."""
    try:
        return urljoin(base, address.strip()) if address else ""
    except ValueError:
        return ""


def _text(element: Element, tag: str) -> str:
    found = element.find(tag)
    return " ".join("".join(_texts(found)).split()) if found is not None else ""


def _texts(element: Element) -> Iterator[str]:
    yield from (text for text in element.itertext() if text)


def _parsed(body: bytes) -> Element:
    try:
        return fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise NoFeed(str(error)) from error
