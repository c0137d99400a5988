"""up: namespace, databases and app in one process, each as early as it can be."""

from __future__ import annotations

import time

from k8s_ee import outcome, plan
from k8s_ee.commands import admission, app, databases, namespace, session


def up(ctx: session.Session, *, image: str) -> outcome.Outcome:
    """Raises what the single steps raise; whatever happened, the next run goes on from there."""
    refusal = admission.check(ctx)
    if refusal:
        return ctx.result("up", "skipped", notes=(refusal,), outputs={"state": "skipped"})
    started = time.monotonic()
    app.check_image(ctx, image)
    namespace.fence(ctx)
    if ctx.options.dry_run:
        return ctx.result("up", "planned", data={"plan": plan.summary(ctx.target(), ctx.config, ctx.platform)})
    # The pods of the app and of its migration wait for the databases by themselves, in an init container:
    # applying both at once lets the images and volumes of one be prepared while the other starts.
    with ctx.phase("databases"):
        _, release = session.side_by_side(lambda: databases.apply(ctx), lambda: app.render(ctx, image=image))
        if not app.jobs(release):
            app.start(ctx, release)
        databases.wait(ctx)
    app.migrate(ctx, release)
    app.roll_out(ctx, release)
    return app.finish(ctx, command="up", started=started)
