"""An ioFog application with one microservice, made by the Controller's REST API (3.5 and newer).

A resource of twenty lines; `pulumi-command` with iofogctl would do as well.
"""

from typing import Any

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider


class ApplicationProvider(ResourceProvider):
    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        changed = [key for key in ("catalog_item_id", "agent", "endpoint") if olds[key] != news[key]]
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def create(self, props: dict[str, Any]) -> CreateResult:
        call = _sign_in(props)
        uuids = {agent["name"]: agent["uuid"] for agent in call("GET", "/iofog-list")["fogs"]}
        if props["agent"] not in uuids:
            raise ValueError(f"the Controller has no agent {props['agent']}, only: {', '.join(uuids) or 'none'}")
        call("POST", "/application", {"name": props["name"], "isActivated": True})
        made = call(
            "POST",
            "/microservices",
            {
                "name": "gateway",
                "application": props["name"],
                "catalogItemId": int(props["catalog_item_id"]),
                "iofogUuid": uuids[props["agent"]],
                "config": "{}",
            },
        )
        return CreateResult(props["name"], {**props, "microservice": made["uuid"]})

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        _sign_in(props)("DELETE", f"/application/{id_}")


def _sign_in(props: dict[str, Any]) -> Any:
    import requests  # here: Pulumi stores this file's functions in the state, and not what they import

    def call(method: str, path: str, body: Any = None, headers: Any = None) -> Any:
        url = f"{props['endpoint']}/api/v3{path}"
        answer = requests.request(method, url, json=body, headers=headers or signed, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    signed: dict[str, str] = {}
    login = {"email": props["email"], "password": props["password"]}
    signed["Authorization"] = f"Bearer {call('POST', '/user/login', login)['accessToken']}"
    return call


class Application(Resource):
    microservice: Output[str]

    def __init__(
        self,
        name: str,
        *,
        catalog_item_id: Input[int],
        agent: Input[str],
        endpoint: Input[str],
        email: Input[str],
        password: Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        props = {
            "name": name,
            "catalog_item_id": catalog_item_id,
            "agent": agent,
            "endpoint": endpoint,
            "email": email,
            "password": Output.secret(password),
            "microservice": None,
        }
        super().__init__(ApplicationProvider(), name, props, opts)
