"""What is wrong within a policy, and between policies and those who name them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from drd.config.faults import Fault, KeyPath, Page, show_duration
from drd.config.policies import DAY, Policy
from drd.config.sections import Config, RbdSource
from drd.core import gaps


def check_policies(config: Config, page: Page) -> Iterator[Fault]:
    """All of them."""
    named = {source.policy for source in config.source.values()}
    by_image = any(isinstance(source, RbdSource) for source in config.source.values())
    for name, policy in config.policy.items():
        key: KeyPath = ("policy", name)
        yield from _rhythm(policy, page, key)
        yield from _rpo(policy, page, key)
        yield from _keep(policy, page, key)
        yield from _verify(policy, page, key)
        if name not in named:
            only = (
                "only images whose metadata drd.policy says so have it"
                if by_image
                else "nothing has it"
            )
            yield page.warning(
                key, f"is named by no source: {only}", f'write policy = "{name}" in a [source.NAME]'
            )
    for name, source in config.source.items():
        key = ("source", name, "policy")
        if source.policy is None:
            images = isinstance(source, RbdSource)
            yield page.warning(
                ("source", name),
                "names no policy: nothing of it is backed up by the daemon"
                + (" but images whose metadata drd.policy names one" if images else ""),
                _known_policies(config, "write"),
            )
        elif source.policy not in config.policy:
            yield page.error(
                key,
                f"is {source.policy!r}: there is no such policy",
                _nearest(config, source.policy),
            )


def _nearest(config: Config, name: str) -> str:
    near = difflib.get_close_matches(name, config.policy, 1, cutoff=0.0)
    if near:
        return f"the nearest is {near[0]!r}"
    return f"there is none at all: write [policy.{name}]"


def _known_policies(config: Config, verb: str) -> str:
    first = next(iter(config.policy), None)
    return f'{verb} policy = "{first}"' if first else "write a [policy.NAME], and name it here"


def _rhythm(policy: Policy, page: Page, key: KeyPath) -> Iterator[Fault]:
    if policy.every is None and policy.cron is None:
        yield page.warning(
            key,
            "has neither every nor cron: its images are backed up when a person says so, and not else",
            'write every = "1h", or cron = "15 * * * *"',
        )
    elif policy.rpo is None:
        longest = policy.every if policy.every is not None else gaps.ordinary_gap(policy.cron or "")
        yield page.warning(
            key,
            "has no rpo: nobody is told when a point is late",
            f'write rpo = "{show_duration(2 * longest)}"',
        )
    if policy.every is not None and policy.spread is not None and policy.spread > policy.every:
        yield page.warning(
            (*key, "spread"),
            f"is {show_duration(policy.spread)}, longer than the interval of {show_duration(policy.every)}",
            "take it out: images are spread over the whole interval without it",
        )


def _rpo(policy: Policy, page: Page, key: KeyPath) -> Iterator[Fault]:
    """Just before a slot the newest point is as old as the time between two slots is long."""
    if policy.rpo is None or (policy.every is None and policy.cron is None):
        return
    rpo, where = show_duration(policy.rpo), (*key, "rpo")
    if policy.every is not None:
        gap, between = policy.every, "the interval (every)"
    else:
        gap, between = (
            gaps.ordinary_gap(policy.cron or ""),
            "the longest time between two slots (cron)",
        )
    enough = f'write rpo = "{show_duration(2 * gap)}": a run may then fail once, or take long'
    if policy.rpo < gap:
        yield page.error(
            where,
            f"is {rpo}, shorter than {between}, {show_duration(gap)}: every point would be late",
            enough,
        )
    elif policy.rpo == gap:
        yield page.warning(
            where,
            f"is {rpo}, as long as {between}: while a run is under way, its image is late",
            enough,
        )
    elif policy.cron is not None:
        change = gaps.gap_at_changes(policy.cron, policy.timezone)
        if change is not None and policy.rpo < change.seconds:
            long = show_duration(change.seconds)
            more = show_duration(change.seconds + policy.rpo - gap)
            yield page.warning(
                where,
                f"is {rpo}, but where clocks change (as on {change.begins} in {policy.timezone}) {long} "
                "lie between two slots",
                f'write rpo = "{more}", or live with an alert on that day',
            )


def _keep(policy: Policy, page: Page, key: KeyPath) -> Iterator[Fault]:
    if policy.keep is not None and not any(policy.keep.model_dump().values()):
        yield page.error(
            (*key, "keep"),
            "keeps nothing: all its counts are 0, so every point but the newest would be deleted",
            "write keep = { last = 3 }, or take the table out to keep every point",
        )


def _verify(policy: Policy, page: Page, key: KeyPath) -> Iterator[Fault]:
    plan = policy.verify
    if plan is not None and plan.coverage < plan.every:
        yield page.error(
            (*key, "verify"),
            f"covers all in {show_duration(plan.coverage)}, but looks only every "
            f"{show_duration(plan.every)}",
            f'write coverage = "{show_duration(max(plan.every, DAY))}" or longer',
        )
