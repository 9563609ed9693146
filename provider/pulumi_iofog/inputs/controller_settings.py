"""Which Controller to use, and as which user: arguments, then stack config, environment, iofogctl namespace. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pulumi_iofog.errors import Failure
from pulumi_iofog.inputs.iofogctl_namespace import Namespace
from pulumi_iofog.inputs.spec import ControllerSettings

NOWHERE = Failure(
    "controller.endpoint",
    "no Controller given: set controller=, iofog:endpoint in the stack's config, or IOFOG_ENDPOINT; or let the"
    " iofogctl namespace file name it",
)
NOBODY = Failure(
    "controller",
    "no credentials for the Controller: set email and password, or token, in controller=, as iofog:email"
    " and iofog:password in the stack's config, or as IOFOG_EMAIL and IOFOG_PASSWORD",
)


def controller_settings(
    given: ControllerSettings | None,
    config: Callable[[str], str | None],
    environment: Mapping[str, str],
    namespace: Namespace,
) -> ControllerSettings | Failure:
    """The first place that names an endpoint, and the first that has credentials.

    ``config`` is asked for ``iofog:endpoint``, ``iofog:email``, ``iofog:password``, ``iofog:token``,
    ``iofog:caFile`` and ``iofog:insecure``; the environment has ``IOFOG_ENDPOINT`` and so on. The
    namespace's credentials are used only for its own Controller.
    """
    places = [
        given or ControllerSettings(""),
        _settings(lambda key: config(f"iofog:{key}")),
        _settings(lambda key: environment.get(f"IOFOG_{_upper(key)}")),
        _from_namespace(namespace),
    ]
    endpoint = next((place.endpoint for place in places if place.endpoint), "")
    if not endpoint:
        return NOWHERE
    if _base(namespace.endpoint or "") != _base(endpoint):
        places.pop()
    who = next((place for place in places if _has_credentials(place)), None)
    if who is None:
        return NOBODY
    return ControllerSettings(
        endpoint=endpoint,
        email=who.email,
        password=who.password,
        token=who.token,
        ca_file=next((place.ca_file for place in places if place.ca_file), None),
        insecure=any(place.insecure for place in places),
        refresh_token=who.refresh_token,
    )


def _has_credentials(place: ControllerSettings) -> bool:
    return bool(place.token or place.refresh_token or (place.email and place.password))


def _from_namespace(namespace: Namespace) -> ControllerSettings:
    return ControllerSettings(
        endpoint=namespace.endpoint or "",
        email=namespace.email,
        password=namespace.password,
        token=namespace.token,
        refresh_token=namespace.refresh_token,
    )


def _settings(get: Callable[[str], str | None]) -> ControllerSettings:
    return ControllerSettings(
        endpoint=get("endpoint") or "",
        email=get("email") or None,
        password=get("password") or None,
        token=get("token") or None,
        ca_file=get("caFile") or None,
        insecure=(get("insecure") or "").lower() in ("true", "1"),
    )


def _upper(key: str) -> str:
    return {"caFile": "CA_FILE"}.get(key, key.upper())


def _base(endpoint: str) -> str:
    return endpoint.rstrip("/").removesuffix("/api/v3")
