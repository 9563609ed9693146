"""Agents, the default router, applications and their microservices."""

from __future__ import annotations

import copy
import secrets
import uuid

from lab.controller import schema
from lab.controller.answers import Answer, Body, Call, Refused, times
from lab.controller.dialect import Dialect


class Fleet:
    """Answers for ``/iofog``, ``/router``, ``/application`` and ``/microservices``.

    Args:
        state: the Controller's; ``agents``, ``applications``, ``microservices``, ``items`` and ``router`` are used.
        template: what the dialect fills in by itself.
    """

    def __init__(self, state: Body, template: Body, dialect: Dialect) -> None:
        self._state, self._template, self._dialect = state, template, dialect

    def router(self, call: Call) -> Answer:
        """Make or change the default router. Only the row of one that was there has its agent, which is none."""
        schema.check(call.body, schema.ROUTER, old=self._dialect.old)
        ports = {"messagingPort": 5672, "edgeRouterPort": 56722, "interRouterPort": 56721}
        said = {key: call.body.get(key) or port for key, port in ports.items()} | {"host": call.body["host"]}
        made = self._state["router"]
        found = {**made, "iofogUuid": None, "updatedAt": times()["updatedAt"]} if made else {}
        self._state["router"] = {**self._template["router"], **times(), **found, **said}
        return Answer(200, self._state["router"])

    def agents(self, _: Call) -> Answer:
        return Answer(200, {"fogs": sorted(self._state["agents"].values(), key=_name)})

    def agent(self, call: Call) -> Answer:
        return Answer(200, self._agent(call.part))

    def create_agent(self, call: Call) -> Answer:
        settings = self._settings(call.body, new=True)
        self._refuse_taken(settings["name"])
        agent = copy.deepcopy(self._template["agent"]) | settings | {"uuid": self._uuid(), **times()}
        self._state["agents"][agent["uuid"]] = agent
        return Answer(201, {"uuid": agent["uuid"]})

    def update_agent(self, call: Call) -> Answer:
        settings = self._settings(call.body, new=False)
        agent = self._agent(call.part)
        if settings.get("name", agent["name"]) != agent["name"]:
            if not self._dialect.old:
                raise Refused(400, "ValidationError", "Agent Resource Name is immutable")
            self._refuse_taken(settings["name"])
        agent |= {**settings, "updatedAt": times()["updatedAt"]}
        return Answer(204)

    def _settings(self, body: Body, *, new: bool) -> Body:
        """What a request says of an agent, as its record has it."""
        form = schema.agent(self._dialect, new=new)
        schema.check(body, form, old=self._dialect.old)
        settings = {key: body[key] for key in form["properties"] if key in body}
        if self._dialect.arch_told in settings:
            settings[self._dialect.arch_said] = settings.pop(self._dialect.arch_told)
        return settings

    def _agent(self, uuid: str) -> Body:
        if uuid not in self._state["agents"]:
            raise Refused(404, "NotFoundError", f"Invalid ioFog UUID '{uuid}'")
        found: Body = self._state["agents"][uuid]
        return found

    def _refuse_taken(self, name: str) -> None:
        if name in [agent["name"] for agent in self._state["agents"].values()]:
            raise Refused(400, "ValidationError", f"Duplicate name '{name}'")

    def applications(self, _: Call) -> Answer:
        return Answer(200, {"applications": list(self._state["applications"].values())})

    def create_application(self, call: Call) -> Answer:
        schema.check(call.body, schema.APPLICATION, old=self._dialect.old)
        name = call.body["name"]
        if name in self._state["applications"]:
            raise Refused(409, "DuplicatePropertyError", f"Duplicate name '{name}'")
        self._state["applications_made"] += 1
        new = {"id": self._state["applications_made"], "name": name}
        self._state["applications"][name] = new
        return Answer(201, new)

    def delete_application(self, call: Call) -> Answer:
        """Its microservices go with it."""
        self._state["applications"].pop(call.part, None)
        for name, each in list(self._state["microservices"].items()):
            if each["application"] == call.part:
                del self._state["microservices"][name]
        return Answer(204)

    def microservices(self, call: Call) -> Answer:
        """Those of ``?application=NAME``; without it, those of all applications. ``rebuild`` is for agents only."""
        name = call.query.get("application")
        if name and name not in self._state["applications"]:
            raise Refused(500, "NotFoundError", f"Invalid application id '{name}'")
        found = [each for each in self._state["microservices"].values() if not name or each["application"] == name]
        shown = [{key: value for key, value in each.items() if key != "rebuild"} for each in sorted(found, key=_name)]
        return Answer(200, {"microservices": shown})

    def create_microservice(self, call: Call) -> Answer:
        body = call.body
        schema.check(body, schema.MICROSERVICE, old=self._dialect.old)
        for kind, key, what in (
            ("agents", "iofogUuid", "ioFog UUID"),
            ("items", "catalogItemId", "catalog item id"),
            ("applications", "application", "application id"),
        ):
            if str(body[key]) not in self._state[kind]:
                raise Refused(500, "NotFoundError", f"Invalid {what} '{body[key]}'")
        new = copy.deepcopy(self._template["microservice"]) | {"uuid": self._uuid(), **times()}
        new |= {
            key: body[key] for key in ("name", "application", "catalogItemId", "iofogUuid", "config") if key in body
        }
        new["rebuild"] = False
        new["applicationId"] = self._state["applications"][body["application"]]["id"]
        self._state["microservices"][new["uuid"]] = new
        return Answer(201, {"uuid": new["uuid"], "name": new["name"]})

    def delete_microservice(self, call: Call) -> Answer:
        if self._state["microservices"].pop(call.part, None) is None:
            raise Refused(404, "NotFoundError", f"Invalid microservice UUID '{call.part}'")
        return Answer(204)

    def rebuild_microservice(self, call: Call) -> Answer:
        """Not recorded; by the source of the newer ones (microservices-service.js, rebuildMicroserviceEndPoint)."""
        if call.part not in self._state["microservices"]:
            raise Refused(404, "NotFoundError", f"Invalid microservice UUID '{call.part}'")
        self._state["microservices"][call.part]["rebuild"] = True
        return Answer(204)

    def _uuid(self) -> str:
        return secrets.token_hex(16) if self._dialect.old else str(uuid.uuid4())


def _name(record: Body) -> str:
    return str(record["name"])
