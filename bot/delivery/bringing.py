"""One parcel's way into its chat."""

import logging
import time
from dataclasses import dataclass, replace
from functools import partial

from aiogram.exceptions import TelegramAPIError, TelegramMigrateToChat

from bot import keyboards
from bot.delivery import news, status_message
from bot.delivery.copies import share_buttons
from bot.delivery.outgoing import noting
from bot.delivery.packing import Packing
from bot.delivery.trouble import Trouble, may_have_arrived, trouble
from bot.delivery.watch import WatchTools
from bot.destination import Destination
from bot.editing import Screen
from bot.language import speaking
from bot.memory.follows import Follow, Follows, Way
from bot.memory.parcels import Parcel, Parcels, chat_of, title_of
from bot.memory.shared import SentFile, Shared
from bot.memory.watchers import Watcher
from bot.requests import FOLLOWING
from tasks.errors import RequestError
from tasks.models import DownloadRequest

log = logging.getLogger(__name__)


class Later(Exception):
    """The chat can't be told now, or does not want to be."""


class Paused(Later):
    """Nothing is to be told of this title now."""


@dataclass(frozen=True)
class _Errand:
    """A parcel, who follows the title, and where it goes."""

    id: str
    parcel: Parcel
    follow: Follow
    to: Destination


@dataclass(frozen=True)
class Bringing:
    """Brings parcels to chats that are this process's."""

    _tools: WatchTools
    _packing: Packing
    _parcels: Parcels
    _follows: Follows
    _shared: Shared

    async def bring(self, parcel_id: str) -> None:
        """Bring the parcel, if it is still there. Raises `Later`, `TakenForDead` and redis errors."""
        parcel, chat_id, key = await self._parcels.get(parcel_id), chat_of(parcel_id), title_of(parcel_id)
        if parcel is None:
            raise Paused  # if it is there, another release has to read it
        follow = await self._follows.get(parcel.origin or chat_id, key)
        if follow is None:
            if await self._follows.is_there(parcel.origin or chat_id, key):
                raise Paused  # the same
            await self._parcels.remove(parcel_id)
            return
        if follow.paused:
            raise Paused
        if await self._packing.is_muted(follow, time.time()):
            raise Later
        to = follow.destination if parcel.origin is None else Destination(chat_id=chat_id)
        with speaking(follow.spoken):
            await self._bring(_Errand(parcel_id, parcel, follow, to))

    async def _bring(self, errand: _Errand) -> None:
        try:
            if errand.follow.way is Way.NOTICE or errand.parcel.request is None or errand.parcel.tried:
                await self._notify(errand)
            else:
                await self._send_or_wait(errand, errand.parcel.request)
        except TelegramAPIError as error:
            log.warning("Telegram refused news: %s", error)
            await self._meet(errand, error)

    async def _notify(self, errand: _Errand) -> None:
        request = errand.parcel.request
        if request:
            await self._tools.history.remember(request)
        screen = news.notice(errand.follow, errand.parcel, again=errand.parcel.tried)
        async with self._tools.courier.news_places:
            with noting(partial(self._try, errand)):
                await self._say(errand, screen)
        await self._parcels.remove(errand.id)
        log.info("news were told")

    async def _try(self, errand: _Errand) -> None:
        await self._parcels.update(errand.id, errand.parcel, tried=True)

    async def _say(self, errand: _Errand, screen: Screen) -> None:
        if errand.parcel.origin is not None:
            screen = status_message.in_private(screen)
        await self._tools.bot.send_message(
            errand.to.chat_id,
            screen.text,
            message_thread_id=errand.to.thread_id,
            reply_markup=screen.keyboard,
            link_preview_options=screen.preview,
        )

    async def _send_or_wait(self, errand: _Errand, request: DownloadRequest) -> None:
        """Send Telegram's copy, else wait for the job."""
        files = await self._shared.whole(request.key)
        parcel = errand.parcel
        for file in files[parcel.sent :]:
            try:
                await self._send_copy(replace(errand, parcel=parcel), file)
            except TelegramAPIError as error:
                if trouble(error) is not Trouble.REFUSED:
                    raise
                # Telegram does not have it any more, or wants none here: a job takes care of either.
                await self._shared.forget(request.key)
                parcel = await self._parcels.update(errand.id, parcel, tried=False)
                files = []
                break
            parcel = await self._parcels.update(errand.id, parcel, tried=False, sent=file.number)
        if not files:
            await self._wait_for_the_job(replace(errand, parcel=parcel), request)
            return
        await self._tools.history.add(request, errand.follow.user_id, errand.to.chat_id)
        await self._parcels.remove(errand.id)
        log.info("news were sent")

    async def _send_copy(self, errand: _Errand, file: SentFile) -> None:
        parcel, about = errand.parcel, status_message.caption(file)
        buttons = await share_buttons(
            self._tools.bot, self._shared, parcel.request.key if parcel.request else "", file.number
        )
        if file.number == file.total:
            buttons = keyboards.of_a_follow(buttons, errand.follow.manga.key)
            if parcel.elsewhere:
                about += f"\n{news.only_elsewhere(parcel.elsewhere, news.MOST_LINKS_UNDER_FILE)}"
        if parcel.origin is not None:
            about += f"\n{status_message.not_there()}"
        async with self._tools.courier.news_places:
            with noting(partial(self._try, errand)):
                await self._tools.bot.send_document(
                    errand.to.chat_id,
                    file.file_id,
                    caption=about,
                    message_thread_id=errand.to.thread_id,
                    reply_markup=buttons,
                )

    async def _wait_for_the_job(self, errand: _Errand, request: DownloadRequest) -> None:
        parcel, follow = errand.parcel, errand.follow
        try:
            submitted = await self._tools.dispatch.submit(request, FOLLOWING, limited=False)
        except RequestError:
            # Say, less fits into a job since it was packed: `Get` says it.
            await self._notify(errand)
            return
        watcher = Watcher(
            job_id=submitted.job_id,
            **errand.to.model_dump(),
            user_id=follow.user_id,
            user_name=follow.user_name,
            language=follow.spoken,
            sent=parcel.sent,
            redirected=parcel.origin is not None,
            follow=follow.manga.key,
            elsewhere=news.as_text(parcel.elsewhere),
        )
        rest = Parcel(elsewhere=parcel.elsewhere, origin=parcel.origin).model_dump_json() if parcel.elsewhere else ""
        # What is left of the parcel, or all of it where the chat just gives the job up, is found again in a moment.
        await self._tools.watchers.add_for_news(watcher, errand.id, rest)

    async def _meet(self, errand: _Errand, error: TelegramAPIError) -> None:
        """Do what this trouble calls for. Raises `Later` where the parcel is to be brought once more."""
        kind = trouble(error)
        if kind is Trouble.LATER and may_have_arrived(error):
            raise Later  # which `tried` says
        parcel = await self._parcels.update(errand.id, await self._fresh(errand), tried=False)
        errand = replace(errand, parcel=parcel)
        follow, chat_id = errand.follow, errand.to.chat_id
        match kind:
            case Trouble.LATER:
                raise Later
            case Trouble.GONE:
                await self._tools.addresses.gone(chat_id)
                await self._parcels.remove(errand.id)
            case Trouble.UPGRADED if isinstance(error, TelegramMigrateToChat):
                await self._tools.addresses.moved(chat_id, error.migrate_to_chat_id)
            case Trouble.NO_TOPIC if errand.to.thread_id is not None:
                # Without a topic it goes to the general one.
                await self._bring(replace(errand, to=Destination(chat_id=chat_id)))
            case Trouble.NO_TOPIC | Trouble.NO_RIGHT if chat_id != follow.user_id:
                await self._parcels.redirect(errand.id, parcel, follow.user_id)
            case _:
                log.error("news were refused: %s", error)
                await self._parcels.remove(errand.id)

    async def _fresh(self, errand: _Errand) -> Parcel:
        """What is known of it now: files of it may have been sent meanwhile."""
        return await self._parcels.get(errand.id) or errand.parcel
