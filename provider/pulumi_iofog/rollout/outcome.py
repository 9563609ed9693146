"""What became of each agent, and what is said of all of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pulumi_iofog import text
from pulumi_iofog.errors import RolloutFailed


@dataclass(frozen=True, slots=True)
class Outcome:
    """One agent's result; sizes in bytes. ``sent`` is 0 where the agent had the image already; ``engine`` is the one
    that holds it, for people."""

    agent: str
    updated: bool = False
    sent: int = 0
    total: int = 0
    note: str = ""
    error: str | None = None
    engine: str = ""


def pending(outcomes: Sequence[Outcome], max_unavailable: int) -> list[str]:
    """The agents that failed, if they may; else RolloutFailed with a line for each."""
    failed = [outcome for outcome in outcomes if outcome.error]
    if len(failed) <= max_unavailable:
        return [outcome.agent for outcome in failed]
    allowed = f" (max_unavailable is {max_unavailable})" if max_unavailable else ""
    others = len(outcomes) - len(failed)
    them = "the other one will be skipped by the next pulumi up, as it holds the image"
    if others > 1:
        them = f"the other {others} will be skipped by the next pulumi up, as they hold the image"
    summary = f"{len(failed)} of {text.plural(len(outcomes), 'agent')} failed{allowed}"
    if others:
        summary += f"; {them}"
    raise RolloutFailed(summary, [outcome.error or "" for outcome in failed])


def brought(outcomes: Sequence[Outcome], agents: Sequence[str]) -> bool:
    """Whether one of those agents holds the image now; who was not visited holds it."""
    return len(missed(outcomes, agents)) < len(agents)


def missed(outcomes: Sequence[Outcome], agents: Sequence[str]) -> list[str]:
    """Those of the agents that do not hold it."""
    return [outcome.agent for outcome in outcomes if outcome.agent in agents and outcome.error]


def report(outcomes: Sequence[Outcome]) -> str:
    """The lasting line: ``3 agents updated, 1 already had it; 41.2 MB sent instead of 238 MB``."""
    updated = [outcome for outcome in outcomes if outcome.updated]
    had = sum(1 for outcome in outcomes if not outcome.updated and not outcome.error)
    failed = [outcome.agent for outcome in outcomes if outcome.error]
    parts = [f"{text.plural(len(updated), 'agent')} updated"] if updated or not had else []
    if had:
        parts.append(f"{had if updated else text.plural(had, 'agent')} already had it")
    if failed:
        parts.append(f"{text.plural(len(failed), 'agent')} pending: {text.listing(failed)}")
    line = ", ".join(parts)
    sent, total = sum(o.sent for o in outcomes), sum(o.total for o in updated)
    if not updated:
        return line
    # The image's config goes uncounted.
    saved = f" instead of {text.size(total)}" if sent < 0.99 * total else ""
    return f"{line}; {text.size(sent)} sent{saved}"
