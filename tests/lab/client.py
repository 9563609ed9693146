"""Somebody who is signed in to a stand-in, and asks it over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from lab.controller import ControllerStandIn

DIALECTS = ("3.0.4", "3.7.3", "3.9.0")


class Client:
    """One user's session; ``headers`` go with every request."""

    def __init__(self, stand_in: ControllerStandIn, session: requests.Session) -> None:
        self.stand_in, self._session, self.headers = stand_in, session, dict[str, str]()
        who = {"email": stand_in.email, "password": stand_in.password}
        self.token = str(self.ask("POST", "/user/login", who).json()["accessToken"])
        self.headers["Authorization"] = self.token if stand_in.api.old else f"Bearer {self.token}"

    def ask(self, method: str, path: str, body: Any = None, *, text: bytes | str | None = None) -> requests.Response:
        """One request with a JSON body, or with ``text`` as its body that is said to be JSON."""
        headers = self.headers if text is None else {**self.headers, "Content-Type": "application/json"}
        url = f"{self.stand_in.endpoint}/api/v3{path}"
        return self._session.request(method, url, headers=headers, json=body, data=text, timeout=5)

    def made(self, path: str, body: Any) -> Any:
        """What is answered where something new is to be made."""
        answer = self.ask("POST", path, body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def item(self, name: str = "gateway", image: str = "gateway:1") -> int:
        """The id of a new catalog item for x86."""
        images = [{"containerImage": image, self.stand_in.api.dialect.arch_said: 1}]
        return int(self.made("/catalog/microservices", {"name": name, "registryId": 2, "images": images})["id"])

    def agent(self, name: str = "edge-1", **settings: Any) -> str:
        """The uuid of a new agent on x86."""
        body = {"name": name, self.stand_in.api.dialect.arch_told: 1, "host": "10.0.0.11", **settings}
        return str(self.made("/iofog", body)["uuid"])


@contextmanager
def client(dialect: str) -> Iterator[Client]:
    """A stand-in of its own, and somebody signed in to it."""
    with ControllerStandIn(dialect) as stand_in, requests.Session() as session:
        yield Client(stand_in, session)


def refusal(answer: requests.Response) -> tuple[int, str, str]:
    """Status, name and message of an error answer of the usual shape."""
    body = answer.json()
    assert set(body) == {"name", "message"}
    return answer.status_code, body["name"], body["message"]
