"""Limits of the rate of sending."""

from __future__ import annotations

import pytest

from pulumi_iofog.errors import InputError
from pulumi_iofog.rollout import rate_limit
from pulumi_iofog.rollout.rate_limit import Limits, parse_rate


@pytest.mark.parametrize(
    ("text", "rate"),
    [("500kB", 500e3), ("2 MB/s", 2e6), ("20Mbit", 2.5e6), ("1.5mbit/s", 187_500), ("100B", 100), ("1Gbps", 125e6)],
)
def test_rates_as_people_write_them(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["fast", "", "0MB", "5", "5 MB/h", "-1kB", "5mb"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid rate"):
        parse_rate(text)


def test_a_wrong_rate_names_its_key() -> None:
    with pytest.raises(InputError) as caught:
        Limits({"iofog:rateLimit": "fast"}.get)
    assert caught.value.failures[0].path == "iofog:rateLimit"


def test_agents_are_held_to_their_own_limit_and_all_of_them_to_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [100.0], []
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(rate_limit.time, "sleep", slept.append)
    limits = Limits({"iofog:rateLimit": "1MB", "iofog:rateLimitTotal": "1.5MB"}.get)
    one, other = limits.pace("one"), limits.pace("other")
    one(1_000_000)
    assert slept == pytest.approx([1 / 1.5 - rate_limit.BURST, 1 - rate_limit.BURST])
    slept.clear()
    other(1_000_000)
    assert slept == pytest.approx([2 / 1.5 - rate_limit.BURST, 1 - rate_limit.BURST])
    assert limits.pace("one") is not one, "its bucket is the same all the same"
    slept.clear()
    now[0] = 102.0
    limits.pace("one")(1_000_000)
    assert slept[-1] == pytest.approx(1 - rate_limit.BURST)


def test_without_limits_nothing_waits() -> None:
    limits = Limits({}.get)
    limits.pace("one")(10**12)
    assert limits.per_agent is None
