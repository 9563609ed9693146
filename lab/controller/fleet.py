"""Agents, the default router, applications and their microservices."""

from __future__ import annotations

import copy
import secrets
import uuid

from lab.controller.answers import Answer, Body, Call, Refused, times
from lab.controller.dialect import Dialect


class Fleet:
    """Answers for ``/iofog``, ``/router``, ``/application`` and ``/microservices``.

    Args:
        state: the Controller's; ``agents``, ``applications``, ``microservices`` and ``items`` are used.
        template: what the dialect fills in by itself.
    """

    def __init__(self, state: Body, template: Body, dialect: Dialect) -> None:
        self._state, self._template, self._dialect = state, template, dialect

    def router(self, call: Call) -> Answer:
        given = {"messagingPort", "host", "edgeRouterPort", "interRouterPort"} & set(call.body)
        return Answer(200, {**self._template["router"], **{key: call.body[key] for key in given}, **times()})

    def agents(self, _: Call) -> Answer:
        return Answer(200, {"fogs": list(self._state["agents"].values())})

    def agent(self, call: Call) -> Answer:
        if call.part not in self._state["agents"]:
            raise Refused(404, "NotFoundError", f"Invalid ioFog UUID '{call.part}'")
        return Answer(200, self._state["agents"][call.part])

    def create_agent(self, call: Call) -> Answer:
        body = call.body
        if body["name"] in [agent["name"] for agent in self._state["agents"].values()]:
            raise Refused(400, "ValidationError", f"Duplicate name '{body['name']}'")
        agent = copy.deepcopy(self._template["agent"]) | {"uuid": self._uuid(), **times()}
        agent |= {key: body[key] for key in ("name", "host") if key in body}
        agent |= {key: body[key] for key in ("containerEngine", "deploymentType") if key in body and key in agent}
        agent[self._dialect.arch_said] = body[self._dialect.arch_told]
        self._state["agents"][agent["uuid"]] = agent
        return Answer(201, {"uuid": agent["uuid"]})

    def applications(self, _: Call) -> Answer:
        return Answer(200, {"applications": list(self._state["applications"].values())})

    def create_application(self, call: Call) -> Answer:
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
        """Those of ``?application=NAME``; without it, those of all applications."""
        name = call.query.get("application")
        if name and name not in self._state["applications"]:
            raise Refused(500, "NotFoundError", f"Invalid application id '{name}'")
        found = [each for each in self._state["microservices"].values() if not name or each["application"] == name]
        return Answer(200, {"microservices": found})

    def create_microservice(self, call: Call) -> Answer:
        body = call.body
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
        new["applicationId"] = self._state["applications"][body["application"]]["id"]
        self._state["microservices"][new["uuid"]] = new
        return Answer(201, {"uuid": new["uuid"], "name": new["name"]})

    def delete_microservice(self, call: Call) -> Answer:
        if self._state["microservices"].pop(call.part, None) is None:
            raise Refused(404, "NotFoundError", f"Invalid microservice UUID '{call.part}'")
        return Answer(204)

    def _uuid(self) -> str:
        return secrets.token_hex(16) if self._dialect.old else str(uuid.uuid4())
