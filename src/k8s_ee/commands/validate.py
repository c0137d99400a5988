"""validate and render: what k8s-ee.yaml asks for, without touching anything."""

from __future__ import annotations

import dataclasses
import functools
import json

from k8s_ee import config as configs
from k8s_ee import environment, errors, outcome
from k8s_ee.commands import admission, session
from k8s_ee.config import model

# `plan` and `helm` are imported where they are used: `validate` is run on every push and must start fast.


def validate(ctx: session.Session) -> outcome.Outcome:
    """Raises ConfigError with every problem. The link and the plan are named if the platform is known (by file)."""
    known = admission.seen(ctx)
    keyless = admission.keyless(ctx, known)
    if keyless:
        return ctx.skipped("validate", keyless)
    config = ctx.config
    _check_seeds(ctx)
    outputs = {
        "project": config.project,
        "trigger": config.trigger,
        "databases": json.dumps([one.engine for one in config.databases]),
        "config": json.dumps(_values(config), sort_keys=True),
        "namespace": "",
        "url": "",
    }
    refusal = _refusal(ctx, known) if ctx.settings.event else ""
    if refusal:
        ctx.notes.append(refusal)
    outputs |= {"deploy": str(not refusal).lower(), "reason": refusal}
    if ctx.settings.number:
        outputs["namespace"] = environment.namespace_name(config.project, ctx.settings.number)
    if ctx.options.platform_file:
        configs.check_fit(config, ctx.platform)
    if not (ctx.options.platform_file and ctx.settings.number):
        return ctx.result("validate", "valid", outputs=outputs)
    return _with_plan(ctx, outputs)


def _check_seeds(ctx: session.Session) -> None:
    if any(one.seed for one in ctx.config.deployed):
        from k8s_ee.commands import seeds

        seeds.check(ctx)


def _refusal(ctx: session.Session, known: admission.Seen) -> str:
    """Whether this event may deploy is an answer here, not an error: a push to the main branch may be checked, too."""
    try:
        return admission.without_platform(ctx, known)
    except errors.Refused as error:
        return error.message


def _values(config: model.Config) -> dict[str, object]:
    """With every default filled in; where in the file a key stands is nobody's business."""
    return {key: value for key, value in dataclasses.asdict(config).items() if key not in {"marks", "path"}}


def _with_plan(ctx: session.Session, outputs: dict[str, str]) -> outcome.Outcome:
    from k8s_ee import plan

    target = ctx.target()
    summary = plan.summary(target, ctx.config, ctx.platform)
    return ctx.result("validate", "valid", outputs={**outputs, "url": target.url}, data={"plan": summary})


def render(ctx: session.Session, *, image: str) -> outcome.Outcome:
    """Every manifest a deploy would apply, in its order. Secrets are not among them: they are made in the cluster."""
    from k8s_ee import helm, plan
    from k8s_ee.cluster import pool
    from k8s_ee.commands import app

    if not ctx.options.platform_file:
        raise errors.InputError("render needs --platform-file", hint="it talks to no cluster; take the platform's file")
    image = app.named(ctx, image)
    target, config, platform = ctx.target(), ctx.config, ctx.platform
    secrets = {one.engine: plan.ENGINES[one.engine].secret for one in config.deployed}
    logins = {one.engine: plan.ENGINES[one.engine].login for one in config.deployed}
    components = [plan.database(target, one, platform, secret=logins[one.engine]) for one in config.deployed]
    components.append(plan.app(target, config, platform, image=image, database_secrets=secrets))
    render_one = functools.partial(helm.render, namespace=target.namespace, kube_version=helm.OLDEST_KUBERNETES)
    rendered = pool.side_by_side([functools.partial(render_one, one) for one in components])
    manifests = [plan.namespace(target, platform), *plan.fence(target, config, platform)]
    manifests += [manifest for component in rendered for manifest in component]
    return ctx.result("render", "planned", data={"manifests": manifests})
