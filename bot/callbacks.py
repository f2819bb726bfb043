"""What every button carries. Telegram allows 64 bytes: menus are named by short ids, chapters by their place."""

from enum import StrEnum

from aiogram.filters.callback_data import CallbackData


class ShowResults(CallbackData, prefix="rs"):
    """Another page of the search results, counted from 0."""

    menu: str
    page: int


class OpenResult(CallbackData, prefix="ro"):
    """The title at that place of the search results."""

    menu: str
    place: int


class ShowCard(CallbackData, prefix="cd"):
    """Back from the chapters to the title."""

    menu: str


class ShowChapters(CallbackData, prefix="ch"):
    """A page of the chapter picker, counted from 0."""

    menu: str
    page: int


class ToggleChapter(CallbackData, prefix="tg"):
    """The chapter at that place of the title."""

    menu: str
    place: int


class PickWhat(StrEnum):
    ALL = "a"
    LATEST = "l"
    NONE = "n"
    PAGE = "p"


class PickChapters(CallbackData, prefix="pk"):
    """Several chapters at once; `page` is the one the person looks at."""

    menu: str
    what: PickWhat
    page: int


class PickRange(CallbackData, prefix="rg"):
    """The next two chapters pressed are the ends of a range; pressed once more, they are not."""

    menu: str
    page: int


class ShowPages(CallbackData, prefix="sp"):
    """All pages of the chapters, to jump to one."""

    menu: str


class Edition(StrEnum):
    LANGUAGE = "l"
    GROUP = "g"


class ShowEditions(CallbackData, prefix="se"):
    """The languages, or the scanlation groups, whose chapters can be offered."""

    menu: str
    what: Edition


class PickEdition(CallbackData, prefix="pe"):
    """The language or group at that place of the list; -1 = no group is preferred."""

    menu: str
    what: Edition
    place: int


class DownloadPicked(CallbackData, prefix="dl"):
    menu: str


class CancelJob(CallbackData, prefix="cj"):
    job: str


class JoinJob(CallbackData, prefix="jj"):
    """Wait for what somebody else asked for as well."""

    job: str


class RetryJob(CallbackData, prefix="rj"):
    """The same request again, after it failed."""

    job: str


class FetchMissing(CallbackData, prefix="fm"):
    """What was missing when the job's files were sent."""

    job: str


class FindElsewhere(CallbackData, prefix="fe"):
    """What the job's source did not give, from other sources."""

    job: str


class GetAgain(CallbackData, prefix="ga"):
    """Something that was delivered before, by the key of its request."""

    request: str


class FollowTitle(CallbackData, prefix="fo"):
    """Follow the title of the card."""

    menu: str


class ShowFollows(CallbackData, prefix="fs"):
    """A page of what the chat follows, counted from 0."""

    page: int


class ShowFollow(CallbackData, prefix="fw"):
    """How the chat follows the title of that key."""

    title: str


class FollowChange(StrEnum):
    PAUSE = "p"
    RESUME = "r"
    WAY = "w"
    FORMAT = "f"
    LANGUAGE = "l"
    GROUP = "g"
    UNFOLLOW = "u"


class ChangeFollow(CallbackData, prefix="fc"):
    """Change that of how the title of that key is followed: to the next choice where there are several."""

    title: str
    what: FollowChange


class AtNews(CallbackData, prefix="fn"):
    """The same under new chapters that came, which stay as they are."""

    title: str
    what: FollowChange


class MutedChange(StrEnum):
    SHOW = "s"
    SWITCH = "x"
    BEGINS_EARLIER = "b"
    BEGINS_LATER = "B"
    ENDS_EARLIER = "e"
    ENDS_LATER = "E"
    CLOCK_BACK = "c"
    CLOCK_ON = "C"


class ChangeMuted(CallbackData, prefix="fh"):
    """The hours in which nothing comes to the chat by itself."""

    what: MutedChange


class ShowMuted(CallbackData, prefix="fq"):
    """The same from under new chapters, in a message of its own."""


class ExportFollows(CallbackData, prefix="fx"):
    """What the chat follows, as a file."""


class Setting(StrEnum):
    FORMAT = "format"
    SPLIT = "split"
    QUALITY = "quality"
    WIDTH = "width"
    STRIPS = "sliced"
    CHAPTER_LANGUAGE = "chapter_language"
    SOURCES = "sources"
    LANGUAGE = "language"
    RATING = "rating"


class ShowSettings(CallbackData, prefix="sl"):
    """All settings of the person, or group, with the id `whose`."""

    whose: int


class ShowSetting(CallbackData, prefix="st"):
    """What there is to choose from."""

    whose: int
    name: Setting


class ChooseSetting(CallbackData, prefix="sc"):
    """The choice at that place; -1 = none, what is usual holds."""

    whose: int
    name: Setting
    place: int


class NoAction(CallbackData, prefix="no"):
    """A button that only shows something."""
