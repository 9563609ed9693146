"""What agents do to a Controller, and what tests want to know of it, past the API that users have.

The stand-in's own: it is asked at ``POST /lab/DEED`` with the arguments as JSON, so that a stand-in in
another process has it too.
"""

from __future__ import annotations

from typing import Any

from lab.controller.answers import Answer, Body, Call
from lab.controller.dialect import Dialect
from lab.controller.fleet import Fleet

SIDE_DOOR = "/lab/"


class SideDoor:
    """Deeds for tests.

    Args:
        state: the Controller's; ``agents``, ``applications`` and ``microservices`` are used.
        template: what a fresh Controller of the dialect has.
    """

    def __init__(self, state: Body, template: Body, dialect: Dialect, fleet: Fleet) -> None:
        self._state, self._fields, self._dialect, self._fleet = state, set(template["agent"]), dialect, fleet

    def answer(self, deed: str, how: Any) -> Answer:
        """One request: ``{"done": …}`` with what the deed of that name gives back, or 400 and why not."""
        deeds = {each.__name__: each for each in (self.set_agent, self.run, self.report, self.rebuilds, self.fetch)}
        try:
            return Answer(200, {"done": deeds[deed](**how)})
        except (KeyError, TypeError, ValueError) as problem:
            return Answer(400, f"{deed}: {problem!r}", "text/plain")

    def set_agent(self, name: str, **fields: Any) -> str:
        """Change an agent's record, or make one for x86, and return its uuid.

        Args:
            fields: as the Controller names and lists them; nobody checks their values, so an engine that
                the Controller would refuse can be said too. ValueError for a field that it does not have.
        """
        if fields.keys() - self._fields:
            raise ValueError(f"{self._dialect.version} has no {', '.join(sorted(fields.keys() - self._fields))}")
        if name not in self._uuids():
            self._fleet.create_agent(Call("POST", "/iofog", body={"name": name, self._dialect.arch_told: 1}))
        uuid = self._uuids()[name]
        self._state["agents"][uuid] |= fields
        return uuid

    def run(
        self, item_id: int, agent: str, name: str = "ms-1", application: str = "app-1", status: str = "RUNNING"
    ) -> str:
        """A new microservice of a catalog item on the agent of that name, in that status; its uuid."""
        if application not in self._state["applications"]:
            self._fleet.create_application(Call("POST", "/application", body={"name": application}))
        body = {"name": name, "application": application, "catalogItemId": item_id, "iofogUuid": self._uuids()[agent]}
        uuid = str(self._fleet.create_microservice(Call("POST", "/microservices", body=body)).body["uuid"])
        self.report(uuid, status)
        return uuid

    def report(self, uuid: str, status: str) -> None:
        """Be an agent that says how a microservice is: QUEUED, PULLING, STARTING, RUNNING, STOPPED, FAILED, …"""
        self._state["microservices"][uuid]["status"]["status"] = status

    def rebuilds(self) -> dict[str, bool]:
        """``application/microservice`` → whether its agent is to start it anew."""
        return {_name(each): each["rebuild"] for each in self._state["microservices"].values()}

    def fetch(self, agent: str) -> list[str]:
        """Be an agent that gets its microservices: those that it is to start anew, once (agent-service.js)."""
        uuid = self._uuids()[agent]
        marked = [
            each for each in self._state["microservices"].values() if each["iofogUuid"] == uuid and each["rebuild"]
        ]
        for each in marked:
            each["rebuild"] = False
        return [_name(each) for each in marked]

    def _uuids(self) -> dict[str, str]:
        return {agent["name"]: uuid for uuid, agent in self._state["agents"].items()}


def _name(microservice: Body) -> str:
    return f"{microservice['application']}/{microservice['name']}"
