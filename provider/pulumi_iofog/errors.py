"""Every error that a user can see, as one tree.

    IofogError                  who, doing what, why, what to try: one line
    ├── InputError              one or more inputs refused, each with its property path
    ├── RegistryError           the registry refused, failed or could not be reached
    │   └── ImageNotFound       no such repository, tag, digest or platform
    ├── SourceError             an image's archive or layout, or the operator's own engine
    ├── StoreError              the local blob cache
    ├── AgentError              one agent; never stops the others
    │   ├── Unreachable         no TCP or SSH session could be made, or it was lost
    │   ├── HostKeyRefused      unknown or changed host key
    │   ├── LoginRefused        no authentication method was accepted
    │   ├── EngineError         the container engine is missing, out of reach or failed
    │   │   └── MissingLayers   the engine lacks a layer that it was thought to hold
    │   ├── CorruptLayer        a layer did not arrive, or come out of its encoding, as it should
    │   ├── NoSpace             the agent's disk is full, or would be
    │   └── VerificationFailed  loaded, but no container can be created from it
    ├── ControllerError         the ioFog Controller refused, failed or could not be reached
    │   ├── ControllerLogin     it did not accept the credentials
    │   ├── ItemNotFound        no such catalog item
    │   ├── NameTaken           another catalog item has that name
    │   └── ItemInUse           microservices still use the catalog item
    └── RolloutFailed           more agents failed than max_unavailable allows

No message ever contains a secret: whoever raises it is responsible, and tests look for secrets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pulumi_iofog import text

T = TypeVar("T")

INTERRUPTED = "pulumi was interrupted"
"""Why something was not begun after Ctrl-C."""


class IofogError(Exception):
    """``WHO: DOING: WHY. HINT``, for example
    ``edge-3: loading app:1.4 (linux/arm64): no space left on device. Free 412 MB under /var/lib/docker.``

    Args:
        who: the agent, registry, Controller or resource that the error is about.
        doing: what was being done, as a present participle.
        why: the cause, in the words of the other side if it gave any.
        hint: what to try, as a whole sentence; may be empty.
    """

    def __init__(self, who: str, doing: str, why: str, hint: str = "") -> None:
        # All four go to Exception.args, so that an error survives pickling between processes.
        super().__init__(who, doing, why, hint)
        self.who, self.doing, self.why, self.hint = who, doing, why, hint

    def __str__(self) -> str:
        head = ": ".join(part for part in (self.who, self.doing, self.why.rstrip(". \n")) if part)
        if not self.hint:
            return head
        return f"{head} {self.hint}" if head.endswith(("?", "!")) else f"{head}. {self.hint}"


@dataclass(frozen=True, slots=True)
class Failure:
    """One refused input: the property's path (``agents[1].port``) and why. Without a path it is no property's."""

    path: str
    reason: str


class InputError(IofogError):
    """Inputs that cannot be used; ``failures`` has all of them, not only the first (see Failures)."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        self.failures = tuple(failures)
        super().__init__("", "", "; ".join(f"{f.path}: {f.reason}" if f.path else f.reason for f in self.failures))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Failure, ...]]]:
        return (InputError, (self.failures,))


class Failures:
    """Collects all that is wrong with some inputs, so that it is reported at once; the same failure only once."""

    def __init__(self) -> None:
        self._found: dict[Failure, None] = {}

    def __iter__(self) -> Iterator[Failure]:
        return iter(self._found)

    def add(self, path: str, reason: str) -> None:
        """Note what is wrong with the property at that path."""
        self._found[Failure(path, reason)] = None

    def attempt(self, path: str, act: Callable[[], T]) -> T | None:
        """What ``act`` returns. None if it raises an IofogError, which is noted as a failure of that property;
        the failures of an InputError keep their own paths, and those of agents and Controllers have none: they say
        themselves whose they are, and the engine would quote the property's value before them (pkg/v3 3.259,
        resource/deploy/step_generator.go, issueCheckFailures)."""
        try:
            return act()
        except InputError as problem:
            self._found |= dict.fromkeys(problem.failures)
        except (AgentError, ControllerError) as problem:
            self.add("", str(problem))
        except IofogError as problem:
            self.add(path, str(problem))
        return None

    def raise_if_any(self) -> None:
        """Raise an InputError with all failures, if there are any."""
        if self._found:
            raise InputError(tuple(self._found))


class RegistryError(IofogError): ...


class ImageNotFound(RegistryError): ...


class SourceError(IofogError): ...


class StoreError(IofogError): ...


class AgentError(IofogError): ...


def unexpected(agent: str, doing: str, problem: Exception) -> AgentError:
    """What nobody has foreseen, as the failure of the agent at which it happened; its traceback is for the log."""
    why = f"an unexpected {type(problem).__name__}: {text.excerpt(problem, 160)}".removesuffix(": ")
    return AgentError(agent, doing, why, "This is a bug: please report it with the log that iofog:log writes")


class Unreachable(AgentError): ...


class HostKeyRefused(AgentError): ...


class LoginRefused(AgentError): ...


class EngineError(AgentError): ...


class MissingLayers(EngineError): ...


class CorruptLayer(AgentError): ...


class NoSpace(AgentError): ...


class VerificationFailed(AgentError): ...


class ControllerError(IofogError): ...


class ControllerLogin(ControllerError): ...


class ItemNotFound(ControllerError): ...


class NameTaken(ControllerError): ...


class ItemInUse(ControllerError): ...


class RolloutFailed(IofogError):
    """Some agents failed; a line for each, after all were tried."""

    def __init__(self, summary: str, errors: Sequence[str]) -> None:
        self.summary, self.errors = summary, tuple(errors)
        super().__init__("", "", "\n".join([summary, *(f"  {line}" for line in self.errors)]))

    def __reduce__(self) -> tuple[type[RolloutFailed], tuple[str, tuple[str, ...]]]:
        return (RolloutFailed, (self.summary, self.errors))
