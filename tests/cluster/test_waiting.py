"""Ready means ready, and what can't become ready is told from the cluster's own knowledge, in seconds."""

import dataclasses
import re
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import pytest

from k8s_ee import cluster, errors
from k8s_ee_sandbox import cluster as sandboxes
from tests.cluster import environments, workloads

pytestmark = pytest.mark.cluster

SLEEP = "import time; time.sleep(9999)"
STARTUP = {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1, "failureThreshold": 12}
CRASH = "print('first words'); raise SystemExit(3)"
NOT_FOUND = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_error(404)
http.server.HTTPServer(("", 8000), Handler).serve_forever()
"""


@pytest.fixture
def home(sandbox: sandboxes.Sandbox) -> Iterator[environments.Home]:
    with environments.home(sandbox) as made:
        yield made


def failure(home: environments.Home, *manifests: dict[str, Any], seconds: float = 90) -> errors.NotReady:
    with pytest.raises(errors.NotReady) as caught:
        home.ready(*manifests, seconds=seconds)
    return caught.value


def test_it_returns_when_the_new_version_serves_and_says_how_far_it_is(home: environments.Home) -> None:
    lines: list[str] = []
    home.ready(environments.server("app", home.image), progress=lines.append)
    assert lines[0] == "app: 0/1 of the new version ready"
    assert lines[-1] == "app: 1/1 ready"
    (deployment,) = home.api.list("Deployment", home.name)
    assert deployment["status"]["availableReplicas"] == 1


def pod_security_context(manifest: dict[str, Any], **context: Any) -> dict[str, Any]:
    manifest["spec"]["template"]["spec"]["securityContext"] = context
    return manifest


def broken(image: str, registry: str) -> dict[str, dict[str, Any]]:
    """Deployments that can't become ready, by their names."""

    def script(name: str, source: str = SLEEP, *, of: str = image, **container: Any) -> dict[str, Any]:
        return environments.script(name, of, source, **container)

    unknown_class = script("no-such-priority")
    unknown_class["spec"]["template"]["spec"]["priorityClassName"] = "no-such-class"
    no_login = script("no-login", of=f"{registry}/private/app:1")
    del no_login["spec"]["template"]["spec"]["imagePullSecrets"]
    hungry = "x = bytearray(900 * 2**20); import time; time.sleep(99)"
    seccomp = {"type": "RuntimeDefault"}
    made = [
        script("no-such-image", of=f"{registry}/base@sha256:{'0' * 64}"),
        no_login,
        script("crash", CRASH, startupProbe=STARTUP),
        script("ends", "print('done')", startupProbe=STARTUP),
        script("no-such-command", command=["/no/such/program"]),
        script("memory", hungry, resources={"limits": {"memory": "48Mi"}}, startupProbe=STARTUP),
        script("another-port", "print('Listening on http://0.0.0.0:8081'); " + SLEEP, startupProbe=STARTUP),
        script("deaf", startupProbe=STARTUP),
        script("health-path", NOT_FOUND, startupProbe=STARTUP),
        script("no-such-secret", envFrom=[{"secretRef": {"name": "app-env"}}]),
        script("no-room", resources={"requests": {"memory": "9000Gi"}}),
        pod_security_context(script("root"), runAsNonRoot=True, runAsUser=0, seccompProfile=seccomp),
        script("privileged", securityContext={"privileged": True}),
        unknown_class,
    ]
    return {manifest["metadata"]["name"]: manifest for manifest in made}


@dataclasses.dataclass(frozen=True)
class Failure:
    error: errors.NotReady
    seconds: float


@pytest.fixture(scope="module")
def failures(sandbox: sandboxes.Sandbox) -> dict[str, Failure]:
    """What was said of each broken Deployment, all tried side by side, and after how long. They are deleted then."""
    with environments.home(sandbox) as home:
        home.api.create_only(environments.pull_secret(sandbox, home.name))
        manifests = broken(home.image, sandbox.registry)

        def fail(manifest: dict[str, Any]) -> Failure:
            began = time.monotonic()
            error = failure(home, manifest, seconds=90)
            return Failure(error, time.monotonic() - began)

        with futures.ThreadPoolExecutor(len(manifests)) as pool:
            return dict(zip(manifests, pool.map(fail, manifests.values()), strict=True))


@pytest.mark.parametrize(("name", "message", "hint", "seconds"), [
    ("no-such-image", r"image \S+ does not exist", "was it pushed", 40),
    ("no-login", "refuses to hand out image", "pull secret", 40),
    ("crash", r"crashes at start \(exit code 3\)", "last lines", 40),
    ("ends", r"ended by itself \(exit code 0\)", "foreground", 40),
    ("no-such-command", "can't be started.*/no/such/program", "app.command", 40),
    ("memory", "needs more memory than its limit of 48Mi", "resources.limits.memory", 50),
    ("another-port", "nothing listens on its port 8000; it says it listens on 8081", "set app.port to 8081", 40),
    ("deaf", "nothing listens on its port 8000", "app.port", 50),
    ("health-path", "answers its health path with 404", "app.healthPath", 50),
    ("no-such-secret", 'secret "app-env" not found', "envFrom", 40),
    ("no-room", "no node has room for it", "resources.requests", 70),
    ("root", "runs as root|Pod Security", "USER 1000", 20),
    ("privileged", "Pod Security refuses the pod.*privileged", "USER 1000", 20),
    ("no-such-priority", "no-such-class", "platform team", 20),
])  # fmt: skip
def test_what_can_not_work_is_named_with_its_fix_long_before_the_deadline(
    failures: dict[str, Failure], name: str, message: str, hint: str, seconds: float
) -> None:
    """Seconds are for fourteen at once on a small machine; one alone takes a few."""
    failed = failures[name]
    assert failed.error.message.startswith(f"{name}: ")
    assert re.search(message, failed.error.message)
    assert hint in failed.error.hint
    assert failed.seconds < seconds


def test_the_last_lines_of_what_crashed_are_quoted_redacted_and_without_escapes(home: environments.Home) -> None:
    source = "print('\\x1b[31mpassword=hunter2\\x1b[0m'); raise SystemExit(1)"
    home.apply(environments.script("app", home.image, source, startupProbe=STARTUP))
    with pytest.raises(errors.NotReady) as caught:
        home.wait([("Deployment", "app")], redact=lambda text: text.replace("hunter2", "***"))
    assert caught.value.evidence == ("password=***",)


def test_a_broken_old_version_is_not_blamed_on_the_new_one(home: environments.Home) -> None:
    failure(home, environments.script("app", home.image, CRASH, startupProbe=STARTUP))
    home.ready(environments.server("app", home.image))


def test_a_broken_new_version_leaves_the_old_one_serving(home: environments.Home) -> None:
    service = {**workloads.service("app")}
    home.ready(environments.server("app", home.image))
    home.apply(service)
    cluster.waiting.served(home.api, home.name, "app", environments.SHA, deadline=environments.soon())
    failure(home, environments.script("app", home.image, CRASH, startupProbe=STARTUP))
    assert cluster.serving(home.api, home.name, "app") == {environments.SHA}


def test_serving_is_only_said_of_the_commit_that_does(home: environments.Home) -> None:
    home.apply(workloads.service("app"))
    assert cluster.serving(home.api, home.name, "app") == set()
    home.ready(environments.server("app", home.image))
    cluster.waiting.served(home.api, home.name, "app", environments.SHA, deadline=environments.soon())
    with pytest.raises(errors.NotReady, match="does not serve commit bbbbbbb: aaaaaaa does"):
        cluster.waiting.served(home.api, home.name, "app", "b" * 40, deadline=environments.soon(1))
    home.ready(environments.server("app", home.image, sha="b" * 40))
    cluster.waiting.served(home.api, home.name, "app", "b" * 40, deadline=environments.soon())


def test_a_quota_that_is_too_small_is_told_long_before_the_deadline(home: environments.Home) -> None:
    home.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": 0}}})
    began = time.monotonic()
    error = failure(home, environments.server("app", home.image))
    assert "quota is too small" in error.message
    assert time.monotonic() - began < 25


def test_a_quota_of_a_stateful_set_is_told_from_its_events(home: environments.Home) -> None:
    home.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": 0}}})
    error = failure(home, environments.database("db", home.image))
    assert "quota is too small" in error.message


def test_a_database_that_never_started_is_repaired_by_the_next_deploy(
    home: environments.Home, sandbox: sandboxes.Sandbox
) -> None:
    home.api.create_only(environments.pull_secret(sandbox, home.name))
    failure(home, environments.database("db", f"{sandbox.registry}/base@sha256:{'0' * 64}"))
    claim = home.api.get("PersistentVolumeClaim", "data-db-0", home.name)
    home.ready(environments.database("db", home.image))
    kept = home.api.get("PersistentVolumeClaim", "data-db-0", home.name)
    assert claim is not None
    assert kept is not None
    assert claim["metadata"]["uid"] == kept["metadata"]["uid"]


def test_a_storage_class_that_does_not_exist_is_named_at_the_latest_at_the_deadline(home: environments.Home) -> None:
    manifest = environments.database("db", home.image)
    manifest["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "no-such-class"
    error = failure(home, manifest, seconds=10)
    assert "its volume is not there" in error.message


def test_a_job_that_fails_ends_the_wait_with_its_words(home: environments.Home) -> None:
    error = failure(home, environments.job("migrate", home.image, "print('no such table'); raise SystemExit(4)"))
    assert error.message == "migrate: main failed (exit code 4)"
    assert error.evidence == ("no such table",)


def test_a_job_that_ends_well_is_done(home: environments.Home) -> None:
    home.ready(environments.job("migrate", home.image, "print('ok')"))


def test_several_workloads_are_waited_for_together(home: environments.Home) -> None:
    home.ready(environments.server("app", home.image), environments.database("db", home.image))


def test_at_the_deadline_it_says_what_it_was_still_waiting_for(home: environments.Home) -> None:
    slow = environments.script("app", home.image, SLEEP, readinessProbe={"exec": {"command": ["false"]}})
    error = failure(home, slow, seconds=4)
    assert "app (0/1 of the new version ready)" in error.message


def test_a_deployment_deleted_meanwhile_ends_the_wait(home: environments.Home) -> None:
    slow = environments.script("app", home.image, SLEEP, readinessProbe={"exec": {"command": ["false"]}})
    home.apply(slow)
    timer = threading.Timer(2, home.api.delete_all, ("Deployment", home.name))
    timer.start()
    error = None
    with pytest.raises(errors.NotReady) as caught:
        home.wait([("Deployment", "app")], seconds=30)
    error = caught.value
    timer.join()
    assert "Deployment app is gone" in error.message


def test_logs_are_read_of_every_container_of_a_component(home: environments.Home) -> None:
    failure(home, environments.script("app", home.image, CRASH, startupProbe=STARTUP))
    found = cluster.logs(home.api, home.name, "app", redact=environments.plain)
    assert {log.container for log in found} == {"main"}
    assert all(log.lines == ("first words",) for log in found)
