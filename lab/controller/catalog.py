"""The catalog: items, their images by architecture, and the registries that they name."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from lab.controller import schema
from lab.controller.answers import Answer, Body, Call, Refused
from lab.controller.dialect import Dialect

HIDDEN = ("Networking Tool", "RESTBlue", "HAL", "Router", "Proxy", "Port Router")
"""Names of the system items that 3.0.4 lists to nobody but keeps from being taken (its src/data/seeders)."""
FROZEN = "Can't update catalog item images for item used for running microservices"
BROKEN_KEY = "SQLITE_CONSTRAINT: FOREIGN KEY constraint failed"


class Catalog:
    """Answers for ``/catalog/microservices`` and ``/registries``.

    Args:
        state: the Controller's; ``items``, ``microservices`` and ``next`` are used.
        template: what a fresh Controller of the dialect has.
    """

    def __init__(self, state: Body, template: Body, dialect: Dialect) -> None:
        self._state, self._template = state, template
        self._old, self._arch_ids, self._key = dialect.old, dialect.arch_ids, dialect.arch_said
        self._installed = {str(item["id"]) for item in template["catalog"]["catalogItems"]}

    def registries(self, _: Call) -> Answer:
        return Answer(200, self._template["registries"])

    def items(self, _: Call) -> Answer:
        return Answer(200, {"catalogItems": list(self._state["items"].values())})

    def item(self, call: Call) -> Answer:
        return Answer(200, self._item(call.part))

    def create(self, call: Call) -> Answer:
        body = call.body
        schema.check(body, schema.create_item(arch_ids=self._arch_ids), old=self._old)
        self._refuse_taken(body["name"])
        # Of a POST nobody expects a NotFoundError: it becomes a 500.
        self._refuse_unknown_registry(body["registryId"], 500)
        item = copy.deepcopy(self._template["item"])
        item |= {"id": self._state["next"], "name": body["name"], "description": body.get("description", "")}
        item |= {key: body[key] for key in ("registryId", "publisher") if key in body}
        item["images"] = self._images(body["images"])
        self._state["items"][str(item["id"])] = item
        self._state["next"] += 1
        return Answer(201, {"id": item["id"]})

    def update(self, call: Call) -> Answer:
        """Before 3.8 nobody looks whose item it is, or whether there is one, where only images are to change."""
        body = call.body
        schema.check(body, schema.update_item(arch_ids=self._arch_ids), old=self._old)
        changes = {key: body[key] for key in ("name", "description", "registryId", "publisher") if key in body}
        if self._arch_ids:
            self._own(call.part, 400, "updated")
        if "registryId" in changes:
            self._refuse_unknown_registry(changes["registryId"], 404)
        if changes:
            item = self._own(call.part, 400, "updated")
            if changes.get("name", item["name"]) != item["name"]:
                self._refuse_taken(changes["name"])
        if "images" in body:
            self._update_images(call.part, body["images"])
        if changes:
            item |= changes
        return Answer(204)

    def _update_images(self, item_id: str, images: Sequence[Body]) -> None:
        """3.0.4 freezes what runs; newer ones have it started anew, also for the images that are there already."""
        self._refuse_twice(images)
        uses = self._uses(item_id)
        if self._old and "RUNNING" in [use["status"]["status"] for use in uses]:
            raise Refused(400, "ValidationError", FROZEN)
        if images and item_id not in self._state["items"]:
            raise Refused(500, "SequelizeForeignKeyConstraintError", BROKEN_KEY)
        named = {image[self._key]: image["containerImage"] for image in images}
        rows = self._state["items"][item_id]["images"] if images else []
        for image in rows:
            image["containerImage"] = named.pop(image[self._key], image["containerImage"])
        rows += [{"containerImage": name, self._key: kind} for kind, name in named.items()]
        if not self._old:
            for use in uses:
                use["rebuild"] = True

    def delete(self, call: Call) -> Answer:
        # Of a DELETE nobody expects a ValidationError: it becomes a 500.
        self._own(call.part, 500, "deleted")
        if self._uses(call.part):
            if self._old:
                raise Refused(500, "SequelizeForeignKeyConstraintError", BROKEN_KEY)
            raise Refused(500, "ValidationError", FROZEN)
        del self._state["items"][call.part]
        return Answer(204)

    def _images(self, given: list[Body]) -> list[Body]:
        """The older ones keep a row for each architecture, 3.8 only for those that it was given."""
        if self._arch_ids:
            self._refuse_twice(given)
            return [{key: image[key] for key in ("containerImage", self._key)} for image in given]
        named = {image[self._key]: image["containerImage"] for image in given}
        return [{"containerImage": named.get(kind), self._key: kind} for kind in (1, 2)]

    def _refuse_twice(self, images: Sequence[Body]) -> None:
        kinds = [image[self._key] for image in images]
        twice = next((kind for kind in kinds if kinds.count(kind) > 1), None)
        if self._arch_ids and twice is not None:
            raise Refused(400, "ValidationError", f"Duplicate archId '{twice}' in images")

    def _item(self, item_id: str) -> Body:
        if item_id not in self._state["items"]:
            raise Refused(404, "NotFoundError", f"Invalid catalog item id '{item_id}'")
        found: Body = self._state["items"][item_id]
        return found

    def _own(self, item_id: str, status: int, verb: str) -> Body:
        """An item that may be changed. 3.0.4 finds none that came with it, for nobody owns them."""
        if self._old and item_id in self._installed:
            raise Refused(404, "NotFoundError", f"Invalid catalog item id '{item_id}'")
        item = self._item(item_id)
        if item["category"] == "SYSTEM":
            raise Refused(status, "ValidationError", f"Catalog item id {item_id} is system and can't be {verb}")
        return item

    def _uses(self, item_id: str) -> list[Body]:
        uses = self._state["microservices"].values()
        return [use for use in uses if str(use["catalogItemId"]) == item_id]

    def _refuse_taken(self, name: str) -> None:
        taken = {item["name"] for item in self._state["items"].values()} | set(HIDDEN if self._old else ())
        if name in taken:
            raise Refused(409, "DuplicatePropertyError", f"Duplicate name '{name}'")

    def _refuse_unknown_registry(self, registry_id: Any, status: int) -> None:
        if registry_id not in [each["id"] for each in self._template["registries"]["registries"]]:
            raise Refused(status, "NotFoundError", f"Invalid registry id '{registry_id}'")
