"""The operator's personal client of MangaDex: a token that is fetched when it is needed, and goes to the API alone."""

import asyncio
import json
import logging
import time

from pydantic import Field, ValidationError

from tasks.errors import SourceError
from tasks.sources.fields import Answer, Text
from tasks.sources.http import SourceHttp

log = logging.getLogger(__name__)

OFFICIAL_API = "https://api.mangadex.org"
OFFICIAL_SIGN_IN = "https://auth.mangadex.org"
SIGN_IN_PATH = "/realms/mangadex/protocol/openid-connect/token"
EARLY_SECONDS = 60.0
"""A token is renewed so long before its end."""
PATIENCE_SECONDS = 300.0
"""After a sign-in that failed, MangaDex is asked as a guest for so long."""


class Token(Answer):
    access: Text = Field(alias="access_token", min_length=1)
    lasts: float = Field(default=900.0, alias="expires_in")


class Account:
    """Signs in with client id, client secret, user name and password; all empty = a guest."""

    def __init__(self, http: SourceHttp, api: str, account: tuple[str, str, str, str]) -> None:
        self._http = http
        self._sign_in_at = (OFFICIAL_SIGN_IN if api == OFFICIAL_API else api) + SIGN_IN_PATH
        self._account = account
        self._token = ""
        self._until = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def is_set(self) -> bool:
        return all(self._account)

    def renew(self) -> None:
        """The token was refused."""
        self._until = float("-inf")

    async def headers(self) -> dict[str, str]:
        """What a request to the API carries; nothing for a guest, or while signing in fails."""
        if not self.is_set:
            return {}
        async with self._lock:
            if time.monotonic() >= self._until:
                await self._sign_in()
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    async def _sign_in(self) -> None:
        client_id, client_secret, username, password = self._account
        form = {
            "grant_type": "password",
            "client_id": client_id,
            "client_secret": client_secret,
            "username": username,
            "password": password,
        }
        try:
            answer = await self._http.post(self._sign_in_at, data=form)
            token = Token.model_validate(json.loads(answer.body))
        except (SourceError, ValidationError, ValueError):
            # Not what was said: it may repeat what was sent.
            log.warning("MangaDex did not take the personal client; going on as a guest")
            self._token, self._until = "", time.monotonic() + PATIENCE_SECONDS
        else:
            self._token, self._until = token.access, time.monotonic() + token.lasts - EARLY_SECONDS
