"""What a Controller does and says: state and answers, without HTTP.

Bodies, statuses and messages are those that real ones gave to the same requests; what the recordings do
not show is taken from the Controller's source. The templates beside this file hold what a fresh
Controller has and the fields that it fills in by itself.

3.9.0 is not recorded, for it is only to be had as a container image: it is 3.7.3 with what the changelog
of 3.8 and its source (catalog-service.js, arch-images.js) say that has changed.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.controller import schema
from lab.controller.answers import HTML, Answer, Body, Call, Refused, page
from lab.controller.catalog import Catalog
from lab.controller.dialect import DIALECTS
from lab.controller.fleet import Fleet
from lab.controller.side_door import SIDE_DOOR, SideDoor

Route = tuple[str, str, Callable[[Call], Answer]]
_PART = r"/([^/]+)"


class Api:
    """One Controller's state, kept across requests and, with a file, across processes.

    Args:
        dialect: ``3.0.4``, ``3.7.3`` or ``3.9.0``.
        users: e-mail → password of who may sign in.
        state: file to keep the state in; what it holds goes before ``users``.

    Attributes:
        side_door: what agents do, and what only tests may know.
    """

    def __init__(self, dialect: str, users: dict[str, str], state: Path | None = None) -> None:
        self.dialect, self._file = DIALECTS[dialect], state
        self._template: Body = json.loads((Path(__file__).parent / f"{dialect}.json").read_text())
        self._started = time.time()
        kept = json.loads(state.read_text()) if state and state.exists() else {}
        self.state: Body = {**self._fresh(users), **kept}
        self._fleet = Fleet(self.state, self._template, self.dialect)
        self.side_door = SideDoor(self.state, self._template, self.dialect, self._fleet)
        self._open, self._protected = self._routes()

    @property
    def old(self) -> bool:
        """3.0.4: tokens as they are, no refreshing, users of its own."""
        return self.dialect.old

    @property
    def arch_ids(self) -> bool:
        """3.8 and newer: ``archId`` and four architectures."""
        return self.dialect.arch_ids

    def handle(self, call: Call) -> Answer:
        """Answer one request, and keep the state that it leaves."""
        try:
            answer = self._dispatch(call)
        except Refused as refused:
            return refused.answer
        if self._file and call.method != "GET":
            self._save(self._file)
        return answer

    def expire_tokens(self) -> None:
        """Refuse, from now on, every access token given out so far."""
        self.state["tokens"].clear()

    def _dispatch(self, call: Call) -> Answer:
        if call.path.startswith(SIDE_DOOR):
            return self.side_door.answer(call.path.removeprefix(SIDE_DOOR), call.body)
        for routes in (self._open, self._protected):
            for method, pattern, function in routes:
                match = re.fullmatch(pattern, call.path.rstrip("/"))
                if method != call.method or not match:
                    continue
                if routes is self._protected:
                    self._authenticate(call.authorization)
                return function(replace(call, part=match[1] if match.groups() else ""))
        return Answer(404, page(f"Cannot {call.method} /api/v3{call.path}"), HTML)

    def _fresh(self, users: dict[str, str]) -> Body:
        return {
            "users": users,
            "tokens": [],
            "refresh": [],
            "items": {str(item["id"]): item for item in self._template["catalog"]["catalogItems"]},
            "next": self._template["first_item_id"],
            "router": {},
            "agents": {},
            "applications": {},
            "applications_made": 0,
            "microservices": {},
        }

    def _save(self, file: Path) -> None:
        new = file.with_suffix(".new")
        new.write_text(json.dumps(self.state))
        new.replace(file)

    def _routes(self) -> tuple[list[Route], list[Route]]:
        """Those open to all, and those that want a token."""
        catalog = Catalog(self.state, self._template, self.dialect)
        fleet = self._fleet
        sign_up: Route = ("POST", "/user/signup", self._sign_up)
        rebuild: list[Route] = [("PATCH", f"/microservices{_PART}/rebuild", fleet.rebuild_microservice)]
        if self.old:
            rebuild = []
        refresh: Route = ("POST", "/user/refresh", self._refresh)
        return [
            ("GET", "/status", self._status),
            ("POST", "/user/login", self._log_in),
            sign_up if self.old else refresh,
        ], [
            ("POST", "/user/logout", self._log_out),
            ("GET", "/registries", catalog.registries),
            ("GET", "/catalog/microservices", catalog.items),
            ("POST", "/catalog/microservices", catalog.create),
            ("GET", f"/catalog/microservices{_PART}", catalog.item),
            ("PATCH", f"/catalog/microservices{_PART}", catalog.update),
            ("DELETE", f"/catalog/microservices{_PART}", catalog.delete),
            ("PUT", "/router", fleet.router),
            ("GET", "/iofog-list", fleet.agents),
            ("POST", "/iofog", fleet.create_agent),
            ("GET", f"/iofog{_PART}", fleet.agent),
            ("PATCH", f"/iofog{_PART}", fleet.update_agent),
            ("GET", "/application", fleet.applications),
            ("POST", "/application", fleet.create_application),
            ("DELETE", f"/application{_PART}", fleet.delete_application),
            ("GET", "/microservices", fleet.microservices),
            ("POST", "/microservices", fleet.create_microservice),
            ("DELETE", f"/microservices{_PART}", fleet.delete_microservice),
            *rebuild,
        ]

    # ---- status and users ---------------------------------------------------------------------------

    def _authenticate(self, authorization: str) -> None:
        if self.old and not authorization:
            raise Refused(500, "Error", 'WHERE parameter "token" has invalid "undefined" value')
        scheme = next((each for each in self.dialect.schemes if authorization.startswith(each)), None)
        if scheme is not None and authorization.removeprefix(scheme) in self.state["tokens"]:
            return
        if self.old:
            raise Refused(401, "AuthenticationError", "authorization failed")
        raise _NoAuthentication

    def _status(self, _: Call) -> Answer:
        now = time.time()
        clock = {"timestamp": int(now * 1000), "uptimeSec": now - self._started}
        return Answer(200, {**self._template["status"], **clock})

    def _sign_up(self, call: Call) -> Answer:
        schema.check(call.body, schema.SIGN_UP, old=self.old)
        self.state["users"][call.body["email"]] = call.body["password"]
        kept = {key: call.body[key] for key in ("firstName", "lastName", "email")}
        return Answer(201, {"userId": len(self.state["users"]), **kept, "emailActivated": True})

    def _log_in(self, call: Call) -> Answer:
        schema.check(call.body, schema.LOG_IN, old=self.old)
        if self.state["users"].get(call.body["email"]) != call.body["password"]:
            raise Refused(401, "InvalidCredentialsError", "Invalid credentials")
        return Answer(200, self._new_tokens())

    def _refresh(self, call: Call) -> Answer:
        """Each refresh token is good once, as Keycloak may be set to have it: the stricter way."""
        schema.check(call.body, schema.REFRESH, old=self.old)
        if call.body["refreshToken"] not in self.state["refresh"]:
            raise Refused(401, "InvalidCredentialsError", "Invalid credentials")
        self.state["refresh"].remove(call.body["refreshToken"])
        return Answer(200, self._new_tokens())

    def _log_out(self, call: Call) -> Answer:
        # A newer Controller's tokens are signed, and good until they run out.
        if self.old:
            self.state["tokens"].remove(call.authorization)
        return Answer(204)

    def _new_tokens(self) -> dict[str, Any]:
        access = secrets.token_hex(32)
        self.state["tokens"].append(access)
        if self.old:
            return {"accessToken": access}
        self.state["refresh"].append(secrets.token_hex(32))
        return {"accessToken": access, "refreshToken": self.state["refresh"][-1]}


class _NoAuthentication(Refused):
    def __init__(self) -> None:
        super().__init__(401, "", "")
        self.answer = Answer(401, {"error": "Unauthorized: No authentication information found"})
