"""The ioFog Controller's REST API, as two real ones answer it (3.0.4 and 3.7.3, recorded in the tests),
and as 3.8 and newer do by their source. The Controller is asked for its version: see dialect.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import requests

from pulumi_iofog.adapters.controller.dialect import NUMBERS, Dialect
from pulumi_iofog.adapters.controller.http import TRIES, Http, LostAnswer, is_unauthorized
from pulumi_iofog.adapters.controller.token import Stored, Token
from pulumi_iofog.adapters.http import Backoff
from pulumi_iofog.adapters.http.bounds import TOTAL
from pulumi_iofog.errors import ControllerError, IofogError, ItemInUse, ItemNotFound, NameTaken
from pulumi_iofog.inputs.catalog import CatalogRules, FoundItem, KnownAgent, Microservice
from pulumi_iofog.inputs.spec import CatalogItem, ControllerSettings

ITEMS = "/catalog/microservices"
NOT_PROVISIONED = "NOT_PROVISIONED"
ADOPT_IT = "Set adopt=True to take it over, or choose another name=."
DELETE_THEM = "First delete them, or switch them to another item."
STOP_THEM = "Stopping them is enough."
NOWHERE = "0.0.0.0"  # noqa: S104  # nosec B104
"""What the Controller reports for a host whose address it does not know."""


class Controller:
    """One Controller; signs in when first needed, and again when its token has expired.

    Every method raises ControllerError, or the subclass that it names. Several threads may use it.

    Args:
        settings: endpoint and credentials; ``token`` is tried before email and password.
        stored: renews and keeps tokens that another program uses too.
        timeout: seconds for connecting, and between two bytes of an answer.
        total: seconds for a whole answer.
        backoff: how long to wait before a request is repeated.
    """

    def __init__(
        self,
        settings: ControllerSettings,
        *,
        stored: Stored | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        total: float = TOTAL,
        backoff: Backoff | None = None,
    ) -> None:
        self._http = Http(settings, timeout, total, backoff or Backoff())
        self._token = Token(self._http, settings, stored)

    @property
    def endpoint(self) -> str:
        """The endpoint in full, without credentials and ``/api/v3``: ``http://controller.example:51121``."""
        return self._http.endpoint

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    # ---- agents -------------------------------------------------------------------------------------

    def agents(self) -> tuple[KnownAgent, ...]:
        """All agents (``GET /iofog-list``)."""
        doing = "listing agents"
        body = self._call(doing, "GET", "/iofog-list")
        with self._http.understood(doing):
            return tuple(_agent(entry, self._http.dialect) for entry in body["fogs"])

    def set_pruning(self, uuid: str, hours: int) -> None:
        """Set after how many hours an agent removes unused images; 0: never (``PATCH /iofog/UUID``)."""
        self._call("changing an agent's pruning", "PATCH", f"/iofog/{uuid}", {self._http.dialect.pruning_key: hours})

    # ---- catalog items ------------------------------------------------------------------------------

    def catalog_rules(self) -> CatalogRules:
        """What its catalog takes and does; wants no signing in."""
        return self._http.dialect.rules

    def find_item(self, name: str) -> FoundItem | None:
        """The item of that name, if one is listed (``GET /catalog/microservices``)."""
        doing = f"looking for the catalog item {name}"
        body = self._call(doing, "GET", ITEMS)
        with self._http.understood(doing):
            return next((self._found(entry) for entry in body["catalogItems"] if entry["name"] == name), None)

    def get_item(self, item_id: int) -> CatalogItem:
        """One item (``GET /catalog/microservices/ID``). Raises ItemNotFound."""
        return self._read(item_id).item

    def _read(self, item_id: int) -> FoundItem:
        doing = f"reading catalog item {item_id}"
        body = self._call(doing, "GET", f"{ITEMS}/{item_id}")
        with self._http.understood(doing):
            return self._found(body)

    def create_item(self, item: CatalogItem, publisher: str | None = None) -> int:
        """Create an item and return its id (``POST /catalog/microservices``). Raises NameTaken.

        If the answer is lost, an item of that name which did not exist before and is exactly what was
        asked for is taken to be this one; only if there is none is the request repeated.

        Args:
            publisher: says who it is made for. An item with that very one, which a request of an earlier run has made
                meanwhile, is changed to what is wanted.
        """
        doing = f"registering the catalog item {item.name}"
        self._refuse_unknown_arches(doing, item)
        before = self.find_item(item.name)
        lost: IofogError | None = None
        for _ in range(TRIES):
            try:
                body = self._call(doing, "POST", ITEMS, self._body(item, publisher), repeat=False)
                with self._http.understood(doing):
                    return int(body["id"])
            except LostAnswer as problem:
                lost = problem.error
            except NameTaken as problem:
                found = self.find_item(item.name)
                # The name may have been taken by the very request whose answer was lost.
                if lost and found and _ours(found, before, item):
                    return found.item_id
                if publisher and found and found.publisher == publisher:
                    self.update_item(found.item_id, item, publisher)
                    return found.item_id
                hint = ADOPT_IT if found and not found.system else problem.hint
                raise NameTaken(self.endpoint, doing, problem.why, hint) from None
            found = self.find_item(item.name)
            if found and _ours(found, before, item):
                return found.item_id
        assert lost
        raise lost

    def update_item(
        self, item_id: int, item: CatalogItem, publisher: str | None = None, *, rewrite: bool = False
    ) -> None:
        """Update an item (``PATCH /catalog/microservices/ID``).

        Only what differs is sent: newer Controllers have the item's microservices rebuilt if any image is
        sent. An architecture that is no longer wanted is dropped.

        Args:
            publisher: says who it is for now.
            rewrite: send the images in any case, as their content is new.

        Raises ItemNotFound, NameTaken; ItemInUse if the Controller does not write the images of what is running.
        """
        doing = f"updating catalog item {item_id}"
        self._refuse_unknown_arches(doing, item)
        now = self._read(item_id)
        old, new = self._body(now.item, now.publisher), self._body(item, publisher)
        changed = {key: value for key, value in new.items() if key != "images" and value != old.get(key)}
        images = self._image_changes(dict(now.item.images), dict(item.images), rewrite=rewrite)
        if images:
            changed["images"] = images
        if not changed:
            return
        with self._users_named(doing, item_id, STOP_THEM, running_only=True):
            self._call(doing, "PATCH", f"{ITEMS}/{item_id}", changed)

    def delete_item(self, item_id: int) -> None:
        """Delete an item (``DELETE /catalog/microservices/ID``); already gone is success.

        Raises ItemInUse, naming the microservices and their agents, if some still use it.
        """
        doing = f"deleting catalog item {item_id}"
        try:
            with self._users_named(doing, item_id, DELETE_THEM):
                self._call(doing, "DELETE", f"{ITEMS}/{item_id}")
        except ItemNotFound:
            return

    # ---- how an item is said --------------------------------------------------------------------------

    def _found(self, entry: Mapping[str, Any]) -> FoundItem:
        system = self._http.dialect.is_system(entry)
        return FoundItem(int(entry["id"]), self._item(entry), system, _said(entry, "publisher"))

    def _item(self, entry: Mapping[str, Any]) -> CatalogItem:
        """An item, its images sorted by architecture; architectures without an image (null, or empty after
        a PATCH), and those that this provider does not know, are omitted."""
        dialect = self._http.dialect
        images = {
            dialect.catalog_arch(image.get(dialect.arch_key)): image.get("containerImage")
            for image in entry.get("images") or ()
        }
        return CatalogItem(
            name=str(entry["name"]),
            description=str(entry.get("description") or ""),
            images=tuple(sorted((arch, str(image)) for arch, image in images.items() if arch and image)),
            registry_id=int(entry.get("registryId") or 0),
        )

    def _body(self, item: CatalogItem, publisher: str | None) -> dict[str, Any]:
        """An item as it is sent to the Controller; images in the Controller's order."""
        return {
            "name": item.name,
            "description": item.description,
            "registryId": item.registry_id,
            "images": self._image_changes({}, dict(item.images)),
            **({"publisher": publisher} if publisher else {}),
        }

    def _image_changes(
        self, now: Mapping[str, str], wanted: Mapping[str, str], *, rewrite: bool = False
    ) -> list[dict[str, Any]]:
        """From now to wanted, or with ``rewrite`` all that are wanted; an empty name drops an architecture (null is
        refused)."""
        dialect = self._http.dialect
        return [
            {"containerImage": wanted.get(arch, ""), dialect.arch_key: NUMBERS[arch]}
            for arch in dialect.arches
            if wanted.get(arch) != now.get(arch) or (rewrite and arch in wanted)
        ]

    def _refuse_unknown_arches(self, doing: str, item: CatalogItem) -> None:
        """Normally the check has refused them, unless the Controller was not known then or has been replaced."""
        dialect = self._http.dialect
        unknown = [arch for arch, _ in item.images if arch not in dialect.arches]
        if unknown:
            why = f"the catalog of Controller {dialect.rules.version} has no {', '.join(unknown)} (added in 3.8)"
            raise ControllerError(self.endpoint, doing, why, "Omit it, or update the Controller.")

    # ---- who uses an item -----------------------------------------------------------------------------

    def microservices(self, item_id: int) -> tuple[Microservice, ...]:
        """Those that use the item, by their names (``GET /microservices``, without a filter those of all
        applications)."""
        doing = f"asking who uses catalog item {item_id}"
        body = self._call(doing, "GET", "/microservices")
        names = {agent.uuid: agent.name for agent in self.agents()}
        with self._http.understood(doing):
            users = [each for each in body["microservices"] if each["catalogItemId"] == item_id]
            return tuple(sorted((_microservice(each, names) for each in users), key=str))

    def rebuild(self, microservice: Microservice) -> bool:
        """Have one microservice started anew (``PATCH /microservices/UUID/rebuild``; by the source of the newer
        Controllers, as no recording has it). One that is gone needs no starting.

        Returns:
            False if this Controller does that only for all of an item.
        """
        doing = f"rebuilding {microservice.name}"
        response = self._answer(doing, "PATCH", f"/microservices/{microservice.uuid}/rebuild")
        if response.status_code == 404:
            # Of a path that it does not have it says so without the name of an error.
            return bool(self._http.said(response)[0])
        if response.status_code >= 400:
            raise self._http.refused(doing, "PATCH", response)
        return True

    @contextmanager
    def _users_named(self, doing: str, item_id: int, hint: str, *, running_only: bool = False) -> Iterator[None]:
        """Complete an ItemInUse with who uses the item, as far as the Controller tells, and what to try."""
        try:
            yield
        except ItemInUse as problem:
            users: Sequence[Microservice] = ()
            with suppress(ControllerError):
                users = [user for user in self.microservices(item_id) if user.running or not running_only]
            why = ": ".join(part for part in (problem.why, ", ".join(map(str, users))) if part)
            if not users and not running_only:
                hint += " Microservices being deleted count until their agents have removed them."
            raise ItemInUse(self.endpoint, doing, why, hint) from None

    def _call(self, doing: str, method: str, path: str, body: Any = None, *, repeat: bool = True) -> dict[str, Any]:
        """An authenticated call's JSON."""
        response = self._answer(doing, method, path, body, repeat=repeat)
        if response.status_code >= 400:
            raise self._http.refused(doing, method, response)
        return self._http.json(doing, response)

    def _answer(
        self, doing: str, method: str, path: str, body: Any = None, *, repeat: bool = True
    ) -> requests.Response:
        """An authenticated call's answer, whatever its status; signs in again, once, if the token is refused."""
        authorization = self._token.header()
        response = self._http.send(doing, method, path, body, authorization=authorization, repeat=repeat)
        if is_unauthorized(response):
            self._token.renew(authorization)
            authorization = self._token.header()
            response = self._http.send(doing, method, path, body, authorization=authorization, repeat=repeat)
        return response


def _ours(found: FoundItem, before: FoundItem | None, wanted: CatalogItem) -> bool:
    """Whether an item is the one that was asked for: new, and equal to it."""
    return (before is None or found.item_id != before.item_id) and _in_order(found.item) == _in_order(wanted)


def _in_order(item: CatalogItem) -> CatalogItem:
    return replace(item, images=tuple(sorted(item.images)))


def _agent(entry: Mapping[str, Any], dialect: Dialect) -> KnownAgent:
    host = _said(entry, "host")
    if not isinstance(entry["name"], str) or not isinstance(entry["uuid"], str):
        raise TypeError("an agent without a name")
    return KnownAgent(
        name=entry["name"],
        uuid=entry["uuid"],
        host=None if host == NOWHERE else host,
        arches=dialect.agent_arches(entry.get(dialect.arch_key)),
        engine=_said(entry, "containerEngine"),
        # 3.9 calls it by the second name.
        engine_socket=_said(entry, "dockerUrl") or _said(entry, "containerEngineUrl"),
        pruning_hours=_hours(entry.get(dialect.pruning_key)),
        provisioned=entry.get("daemonStatus") != NOT_PROVISIONED,
    )


def _hours(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _said(entry: Mapping[str, Any], key: str) -> str | None:
    value = entry.get(key)
    return value.strip() or None if isinstance(value, str) else None


def _microservice(entry: Mapping[str, Any], agents: Mapping[str, str]) -> Microservice:
    return Microservice(
        name=f"{entry.get('application') or '?'}/{entry['name']}",
        agent=agents.get(entry.get("iofogUuid") or ""),
        running=(entry.get("status") or {}).get("status") == "RUNNING",
        uuid=str(entry["uuid"]),
    )
