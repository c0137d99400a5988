"""May this pull request be deployed, and is it still this commit? Asked before the first write and after the last."""

from __future__ import annotations

import dataclasses

from k8s_ee import errors, pull_request, trust
from k8s_ee.commands import session
from k8s_ee.config import model

Seen = pull_request.PullRequest | pull_request.Unknown


def check(ctx: session.Session) -> str:
    """Empty = go on; else why there is, quietly, nothing to do. Raises Refused, or GitHubUnavailable when undecidable.

    What needs no platform settings is judged first: the run of a fork has no access to the cluster to read them from.
    """
    known = seen(ctx)
    return keyless(ctx, known) or without_platform(ctx, known) or _judge(ctx, known, ctx.platform)


def keyless(ctx: session.Session, known: Seen) -> str:
    """Why the run gets no secrets, as that of a fork; empty = it does. Asked before k8s-ee.yaml is read."""
    return trust.keyless(trust.facts(ctx.settings, known, purpose="deploy"))


def without_platform(ctx: session.Session, known: Seen) -> str:
    """The same as `check`, but for the platform's allow-list."""
    return _judge(ctx, known, _without_list(ctx))


def obsolete(ctx: session.Session) -> trust.Deny | None:
    """After a deploy: why nobody wants it any more (the pull request was closed, or has another head)."""
    decision = _decide(ctx, seen(ctx), ctx.platform)
    return decision if isinstance(decision, trust.Deny) and decision.kind in {"closed", "superseded"} else None


def may_destroy(ctx: session.Session) -> str:
    """Empty = go on; else why not. Raises Refused."""
    known = trust.facts(ctx.settings, seen(ctx), purpose="destroy")
    return _reason(trust.authorize(known, _without_list(ctx)))


def _judge(ctx: session.Session, known: Seen, platform: model.Platform) -> str:
    decision = _decide(ctx, known, platform)
    if isinstance(decision, trust.Allow):
        if decision.note and decision.note not in ctx.notes:
            ctx.notes.append(decision.note)
        # A workflow_dispatch names a pull request, not a commit, and no branch.
        branch = ctx.settings.branch or (known.branch if isinstance(known, pull_request.PullRequest) else "")
        ctx.settings = dataclasses.replace(ctx.settings, head_sha=decision.sha, branch=branch)
    return _reason(decision)


def _decide(ctx: session.Session, known: Seen, platform: model.Platform) -> trust.Allow | trust.Deny:
    facts = trust.facts(ctx.settings, known, purpose="deploy", trigger=ctx.config.trigger)
    return trust.authorize(facts, platform)


def _without_list(ctx: session.Session) -> model.Platform:
    return model.Platform(domain="", allowed_repository_ids=(ctx.settings.repository_id,))


def seen(ctx: session.Session) -> Seen:
    """What GitHub says about the pull request now. A terminal's word is taken: it has the cluster's key anyway."""
    if not ctx.github or not ctx.settings.event or not ctx.settings.number:
        return pull_request.Unknown("no GITHUB_TOKEN was given")
    return ctx.github.pull_request(ctx.settings.number)


def _reason(decision: trust.Allow | trust.Deny) -> str:
    if isinstance(decision, trust.Allow):
        return ""
    if decision.kind == "refused":
        raise errors.Refused(decision.reason, hint=decision.hint)
    if decision.kind == "unknown":
        raise errors.GitHubUnavailable(decision.reason, hint=decision.hint)
    return decision.reason
