"""The Authorization header for an ioFog Controller: signing in, renewing, and the two dialects."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any, Protocol

from pulumi_iofog import log
from pulumi_iofog.adapters.controller.http import Http
from pulumi_iofog.errors import ControllerLogin
from pulumi_iofog.inputs.spec import ControllerSettings

Tokens = tuple[str, str]
"""Access token and refresh token; the second may be empty."""


class Stored(Protocol):
    """Tokens that another program uses too."""

    def renew(self, refused: str, exchange: Callable[[str], Tokens | None]) -> Tokens | None:
        """New tokens in place of a refused access token, by the refresh token; None if that fails."""
        ...


class Token:
    """One token for all threads, obtained when first needed: the given one, else with the stored refresh
    token, else with email and password."""

    def __init__(self, http: Http, settings: ControllerSettings, stored: Stored | None = None) -> None:
        self._http, self._settings, self._stored = http, settings, stored
        self._access, self._refresh = (settings.token or "").strip(), ""
        self._lock = threading.Lock()

    def header(self) -> str:
        """The value for ``Authorization``; signs in first if there is no token yet."""
        with self._lock:
            if not self._access and not self._from_store():
                self._sign_in("there is no token, and no email with a password")
            return self._header()

    def renew(self, refused: str) -> None:
        """Get another token in place of a refused header, unless another thread has done so already."""
        with self._lock:
            if refused == self._header() and not (self._refreshed() or self._from_store()):
                self._sign_in("the token was refused, and there is no email with a password")

    def _header(self) -> str:
        if not re.fullmatch(r"[\x21-\x7e]+", self._access):
            hint = "Give the token alone, without quotes, line breaks or a prefix such as Bearer."
            raise ControllerLogin(self._http.endpoint, "signing in", "malformed token", hint)
        return f"{self._http.dialect.scheme}{self._access}"

    def _sign_in(self, why_not: str) -> None:
        """``POST /user/login`` {email, password} → accessToken, since 3.5 with a refreshToken."""
        doing, who, endpoint = "signing in", self._settings, self._http.endpoint
        if not (who.email and who.password):
            hint = "Set token=, or email= and password=, or the iofog: settings of those names."
            raise ControllerLogin(endpoint, doing, why_not, hint)
        response = self._http.send(doing, "POST", "/user/login", {"email": who.email, "password": who.password})
        name, message = self._http.said(response)
        if response.status_code in (400, 401, 403) and name:
            hint = "Check email= and password=, or iofog:email and iofog:password."
            if self._http.dialect.second_factor:
                hint += " A user with a second factor needs token=, or a namespace that iofogctl is signed in to."
            raise ControllerLogin(endpoint, doing, f"user {who.email} was refused: {message}", hint)
        if response.status_code >= 400:
            raise self._http.refused(doing, "POST", response)
        self._access, self._refresh = self._tokens(doing, self._http.json(doing, response))

    def _refreshed(self) -> bool:
        """Whether the refresh token of an earlier sign-in gave new tokens."""
        token, self._refresh = self._refresh, ""
        new = self._exchange(token) if token else None
        if new:
            self._access, self._refresh = new
        return new is not None

    def _from_store(self) -> bool:
        """Whether the stored tokens could be renewed; the refresh token stays in the store."""
        new = self._stored.renew(self._access, self._exchange) if self._stored else None
        if new:
            log.hide(new)
            self._access = new[0]
        return new is not None

    def _exchange(self, token: str) -> Tokens | None:
        """``POST /user/refresh`` {refreshToken} → new tokens (3.5 and newer); None if that is refused."""
        doing = "renewing the token"
        log.hide([token])
        response = self._http.send(doing, "POST", "/user/refresh", {"refreshToken": token})
        if response.status_code >= 400:
            return None
        return self._tokens(doing, self._http.json(doing, response))

    def _tokens(self, doing: str, body: dict[str, Any]) -> Tokens:
        with self._http.understood(doing):
            if not isinstance(body["accessToken"], str):
                raise TypeError("no token")
            tokens = body["accessToken"], str(body.get("refreshToken") or "")
        log.hide(tokens)
        return tokens
