"""Ready means ready, and what can't become ready is told from the cluster's own knowledge, in seconds."""

import re
import threading
import time
from collections.abc import Iterator
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


def container(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = manifest["spec"]["template"]["spec"]["containers"][0]
    return found


def test_it_returns_when_the_new_version_serves_and_says_how_far_it_is(home: environments.Home) -> None:
    lines: list[str] = []
    home.ready(environments.server("app", home.image), progress=lines.append)
    assert lines[0] == "app: 0/1 of the new version ready"
    assert lines[-1] == "app: 1/1 ready"
    (deployment,) = home.api.list("Deployment", home.name)
    assert deployment["status"]["availableReplicas"] == 1


def broken(name: str, image: str, registry: str) -> dict[str, Any]:
    made = {
        "no such image": environments.script("app", f"{registry}/base@sha256:{'0' * 64}", SLEEP),
        "a registry without credentials": environments.script("app", f"{registry}/private/app:1", SLEEP),
        "a crash": environments.script("app", image, CRASH, startupProbe=STARTUP),
        "an end by itself": environments.script("app", image, "print('done')", startupProbe=STARTUP),
        "no such command": environments.script("app", image, "", command=["/no/such/program"]),
        "too little memory": environments.script(
            "app",
            image,
            "x = bytearray(900 * 2**20); import time; time.sleep(99)",
            resources={"limits": {"memory": "48Mi"}},
            startupProbe=STARTUP,
        ),
        "another port": environments.script(
            "app", image, "print('Listening on http://0.0.0.0:8081'); " + SLEEP, startupProbe=STARTUP
        ),
        "nothing on the port": environments.script("app", image, SLEEP, startupProbe=STARTUP),
        "a wrong health path": environments.script("app", image, NOT_FOUND, startupProbe=STARTUP),
        "a missing secret": environments.script("app", image, SLEEP, envFrom=[{"secretRef": {"name": "app-env"}}]),
        "no room": environments.script("app", image, SLEEP, resources={"requests": {"memory": "9000Gi"}}),
        "root": environments.script("app", image, SLEEP),
        "Pod Security": environments.script("app", image, SLEEP, securityContext={"privileged": True}),
        "a priority that does not exist": environments.script("app", image, SLEEP),
    }[name]
    pod = made["spec"]["template"]["spec"]
    if name == "root":
        pod["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}, "runAsNonRoot": True, "runAsUser": 0}
    if name == "a priority that does not exist":
        pod["priorityClassName"] = "no-such-class"
    return made


@pytest.mark.parametrize(("name", "message", "hint", "seconds"), [
    ("no such image", r"image \S+ does not exist", "was it pushed", 10),
    ("a registry without credentials", "refuses to hand out image", "pull secret", 10),
    ("a crash", r"crashes at start \(exit code 3\)", "last lines", 15),
    ("an end by itself", r"ended by itself \(exit code 0\)", "foreground", 15),
    ("no such command", "can't be started.*/no/such/program", "app.command", 15),
    ("too little memory", "needs more memory than its limit of 48Mi", "resources.limits.memory", 20),
    ("another port", "nothing listens on its port 8000; it says it listens on 8081", "set app.port to 8081", 20),
    ("nothing on the port", "nothing listens on its port 8000", "app.port", 30),
    ("a wrong health path", "answers its health path with 404", "app.healthPath", 30),
    ("a missing secret", 'secret "app-env" not found', "envFrom", 20),
    ("no room", "no node has room for it", "resources.requests", 30),
    ("root", "runs as root|Pod Security", "USER 1000", 10),
    ("Pod Security", "Pod Security refuses the pod.*privileged", "USER 1000", 10),
    ("a priority that does not exist", "no-such-class", "platform team", 10),
])  # fmt: skip
def test_what_can_not_work_is_named_with_its_fix(
    home: environments.Home, sandbox: sandboxes.Sandbox, name: str, message: str, hint: str, seconds: float
) -> None:
    if name == "no such image":
        home.api.create_only(environments.pull_secret(sandbox, home.name))
    began = time.monotonic()
    error = failure(home, broken(name, home.image, sandbox.registry))
    assert time.monotonic() - began < seconds
    assert error.message.startswith("app: ")
    assert re.search(message, error.message)
    assert hint in error.hint


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
