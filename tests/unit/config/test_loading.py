"""What a whole file becomes, and what is said about it."""

from __future__ import annotations

import pytest

from k8s_ee import errors
from k8s_ee.config import model
from tests.unit.config import reading

EVERYTHING = """\
$schema: ./k8s-ee.schema.json
projectId: shop
trigger: on-demand
app:
  port: 8080
  healthPath: /healthz
  metricsPath: /metrics
  command: [node]
  args: ["server.js", "--verbose"]
  replicas: 2
  migrate: [npm, run, migrate]
  runAsUser: 1000
  startupSeconds: 300
image:
  context: ./services/shop
  dockerfile: ../Dockerfile.shop
  repository: registry.example.com/acme/shop
  target: preview
  args: {NODE_VERSION: "22"}
  platforms: [linux/amd64, linux/arm64]
resources:
  requests: {cpu: 250m, memory: 256Mi}
  limits: {cpu: 1, memory: 1Gi}
env:
  LOG_LEVEL: debug
envFrom:
  - secretRef: {name: app-env, optional: true}
  - configMapRef: {name: features}
writableDirs: [/tmp, /app/uploads]
databases:
  postgresql:
    enabled: true
    version: "17"
    storage: 2Gi
    bootstrap: SELECT 1;
    startupSeconds: 200
ingress:
  enabled: true
  annotations: {example.com/size: 10m}
metrics:
  enabled: true
  interval: 1m
"""


def test_every_key_has_its_place_in_the_model() -> None:
    assert reading.load(EVERYTHING, reading.PLATFORM) == model.Config(
        project="shop",  # type: ignore[arg-type]
        path="k8s-ee.yaml",
        trigger="on-demand",
        app=model.App(
            port=8080,
            health_path="/healthz",
            metrics_path="/metrics",
            command=("node",),
            args=("server.js", "--verbose"),
            replicas=2,
            migrate=("npm", "run", "migrate"),
            run_as_user=1000,
            startup_seconds=300,
        ),
        image=model.Image(
            context="services/shop",
            dockerfile="../Dockerfile.shop",
            repository="registry.example.com/acme/shop",
            target="preview",
            args={"NODE_VERSION": "22"},
            platforms=("linux/amd64", "linux/arm64"),
        ),
        resources=model.Resources(
            requests=model.Quantities(cpu="250m", memory="256Mi"), limits=model.Quantities(cpu="1", memory="1Gi")
        ),
        env={"LOG_LEVEL": "debug"},
        env_from=(
            model.EnvFrom(kind="secretRef", name="app-env", optional=True),
            model.EnvFrom(kind="configMapRef", name="features"),
        ),
        writable_dirs=("/app/uploads",),
        databases=(
            model.Database(
                engine="postgresql", version="17", storage="2Gi", bootstrap="SELECT 1;", startup_seconds=200
            ),
        ),
        ingress=model.Ingress(annotations={"example.com/size": "10m"}),
        metrics=model.Metrics(enabled=True, interval="1m"),
    )


def test_one_line_is_a_whole_file() -> None:
    assert reading.load("projectId: a") == model.Config(project="a")  # type: ignore[arg-type]


def test_each_key_remembers_its_line_for_what_is_found_later() -> None:
    lines = reading.load(EVERYTHING).lines
    assert (lines["projectId"], lines["app"], lines["app.port"]) == (2, 4, 5)
    assert (lines["env.LOG_LEVEL"], lines["databases.postgresql.storage"]) == (25, 34)
    assert lines["envFrom.1.configMapRef.name"] == 28


@pytest.mark.parametrize("value", ["true", "{}", "{enabled: true}", "{storage: 1Gi}"])
def test_a_database_is_there_when_it_is_named_and_not_switched_off(value: str) -> None:
    loaded = reading.load(f"projectId: a\ndatabases: {{postgresql: {value}}}")
    assert loaded.databases == (model.Database(engine="postgresql"),)


@pytest.mark.parametrize("value", ["false", "{enabled: false}", "{enabled: false, storage: 2Gi}"])
def test_a_database_that_is_switched_off_is_not_there(value: str) -> None:
    assert reading.load(f"projectId: a\ndatabases: {{postgresql: {value}}}").databases == ()


def test_a_limit_below_the_default_request_takes_the_request_with_it() -> None:
    loaded = reading.load("projectId: a\nresources: {limits: {cpu: 50m, memory: 64Mi}}")
    assert loaded.resources.requests == model.Quantities(cpu="50m", memory="64Mi")


def test_every_problem_of_a_file_is_said_at_once_in_order_and_at_its_place() -> None:
    found = reading.problems("""\
        projectId: My_App
        trigger: auto
        app:
          prot: 8080
          healthPath: health
        env:
          PORT: "1"
        resources:
          requests: {cpu: 2}
        """)
    assert [(one.line, one.column) for one in found] == [(1, 12), (2, 10), (4, 3), (5, 15), (7, 3), (9, 14)]


def test_an_error_counts_its_problems_and_ends_with_exit_code_2() -> None:
    with pytest.raises(errors.ConfigError) as caught:
        reading.load("a: 1\nb: 2\n")
    assert caught.value.exit_code == 2
    assert str(caught.value) == "k8s-ee.yaml: 3 problems"


def test_a_missing_project_id_says_what_it_is_and_shows_one() -> None:
    found = reading.problem("app: {port: 80}")
    assert found.message.startswith("`projectId` is missing: expected 1 to 20 of a-z")
    assert found.hint == 'for example `projectId: "guestbook"`'


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("app: {prot: 1}", "did you mean `port`?"),
        ("app: {health_path: /x}", "did you mean `healthPath`?"),
        ("app: {HealthPath: /x}", "did you mean `healthPath`?"),
        ("App: {port: 1}", "did you mean `app`?"),
        ("enviroment: {}", "environment variables are `env`"),
        ("port: 1", "it belongs under `app`"),
        ("replicas: 1", "it belongs under `app`"),
        ("app: {env: {}}", "it belongs under `the top level`"),
        ("limits: {}", "it belongs under `resources`"),
        ("healthcheck: {}", "`app.healthPath` is the path"),
        ("services: {}", "reserved for more than one app"),
        ("databases: {mysql: true}", "`databases.mariadb: true`"),
        ("databases: {postgresq: true}", "did you mean `postgresql`?"),
        ("qwertz: 1", "allowed here: projectId, trigger, app"),
        ("image: {qwertz: 1}", "allowed here: context, dockerfile"),
        (f"{'x' * 500}: 1", "allowed here: projectId"),
        (f"? {'x' * 5000}\n: 1", "allowed here: projectId"),
    ],
)
def test_an_unknown_key_names_what_was_probably_meant(text: str, hint: str) -> None:
    found = reading.app(text)
    assert found.message.startswith("unknown key `")
    assert hint in found.hint
    assert len(str(found)) < 400


@pytest.mark.parametrize("value", ["a\\n", "a-", "-a", "A", "a_b", "x" * 21, "", "é", "a\\u0661"])
def test_a_project_id_is_matched_as_a_whole(value: str) -> None:
    assert "expected 1 to 20 of a-z" in reading.problem(f'projectId: "{value}"').message


def test_a_command_written_as_one_line_is_shown_as_a_list() -> None:
    found = reading.app("app:\n  migrate: npm run 'migrate all'\n")
    assert found.hint == 'write it as a list: ["npm", "run", "migrate all"]'


def test_a_command_for_a_shell_is_shown_with_the_shell_it_needs() -> None:
    found = reading.app("app:\n  migrate: npm run a && npm run b\n")
    assert found.hint == 'write it as a list: ["sh", "-c", "npm run a && npm run b"]'


def test_a_command_with_a_lone_quote_is_shown_as_a_list_too() -> None:
    assert reading.app("app:\n  migrate: \u00ad[npm]\n").hint == 'write it as a list: ["\\u00ad[npm]"]'
    assert reading.app("app:\n  migrate: don't\n").hint == 'write it as a list: ["don\'t"]'


@pytest.mark.parametrize("value", ["3", "text", "{a: b}", "[[a]]", "[1]"])
def test_a_command_is_a_list_of_texts(value: str) -> None:
    assert reading.app(f"app: {{command: {value}}}").message.startswith("`app.command")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[{}]", "exactly one of secretRef, configMapRef"),
        ("[{secretRef: {name: a}, configMapRef: {name: b}}]", "exactly one of secretRef, configMapRef"),
        ("[{secretRef: {}}]", "`envFrom.0.secretRef.name` is missing"),
        ("[{secretRef: {name: A}}]", "expected a Kubernetes name"),
        ("[{secret: {name: a}}]", "unknown key `secret` in `envFrom.0`"),
        ("[secretRef]", "expected a map"),
    ],
)
def test_an_entry_of_env_from_is_one_reference(value: str, message: str) -> None:
    assert message in reading.app(f"envFrom: {value}").message


@pytest.mark.parametrize("name", ["1A", "A-B", "A.B", "A B", "Ä", '"A\\n"', "A" * 129, '""'])
def test_the_name_of_an_environment_variable_is_one_every_shell_takes(name: str) -> None:
    assert "can't be a name in `env`" in reading.app(f"env: {{{name}: x}}").message


def test_a_value_that_is_too_long_says_how_long_it_is() -> None:
    found = reading.app(f"env: {{A: {'x' * 40_000}}}")
    assert found.hint == "it has 40000 characters, at most 32768 are allowed"
    assert len(found.message) < 200


def test_found_text_is_shown_on_one_line_with_nothing_invisible() -> None:
    found = reading.app('trigger: "a\\nb\\u202e::error::"')
    assert "found the text `a\\nb\\u202e::error::`" in found.message
