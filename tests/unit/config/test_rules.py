"""How the parts of a file must fit each other, and the platform."""

from __future__ import annotations

import dataclasses

import pytest

from k8s_ee import config, errors
from k8s_ee.config import fit, model
from tests.unit.config import reading


@pytest.mark.parametrize("name", ["PORT", "PR_NUMBER", "COMMIT_SHA", "BRANCH_NAME", "APP_VERSION", "PREVIEW_URL"])
def test_a_variable_every_environment_sets_cant_be_set(name: str) -> None:
    found = reading.app(f'env: {{{name}: "x"}}')
    assert found.message == f"`{name}` is set by every environment and can't be set here"
    assert found.line == 2


def test_a_database_variable_can_be_set_only_without_that_database() -> None:
    text = "env: {DATABASE_URL: postgres://elsewhere}\n"
    assert reading.load(f"projectId: a\n{text}").env
    assert "by databases.postgresql" in reading.app(f"{text}databases: {{postgresql: true}}\n").message


def test_a_request_above_its_limit_names_both_numbers() -> None:
    found = reading.app("resources:\n  requests: {memory: 1Gi}\n  limits: {memory: 512Mi}\n")
    assert (found.line, found.column) == (3, 14)
    assert found.message == "`resources.requests.memory` is 1Gi, more than `resources.limits.memory`, which is 512Mi"


def test_a_request_above_the_default_limit_says_that_it_is_the_default() -> None:
    assert reading.app("resources: {requests: {cpu: 2}}").hint == "that is the default: give `resources.limits.cpu` too"


def test_quantities_are_compared_as_numbers() -> None:
    assert reading.load(
        "projectId: a\nresources: {requests: {cpu: 1000m, memory: 1Gi}, limits: {cpu: 1, memory: 1024Mi}}"
    )


def test_a_wrong_limit_gives_no_second_problem_about_the_request() -> None:
    found = reading.problems("projectId: a\nresources: {requests: {cpu: 2}, limits: {cpu: lots}}")
    assert [one.message.split("`")[1] for one in found if "resources" in one.message] == ["resources.limits.cpu"]


def test_memory_without_a_unit_is_bytes_and_too_little() -> None:
    found = reading.problems("projectId: a\nresources: {limits: {memory: 512}}")
    assert any("a number of bytes" in one.hint for one in found)


@pytest.mark.parametrize("value", ["512mb", "1GB", "1 Gi", "-1Gi", "1e3", "1gi", "Gi", "'1Gi\\n'", "1Pi", "0Gi"])
def test_storage_is_a_size(value: str) -> None:
    assert reading.problems(f"projectId: a\ndatabases: {{postgresql: {{storage: {value}}}}}")


@pytest.mark.parametrize(
    ("context", "dockerfile", "wrong"),
    [
        ("../x", "Dockerfile", "image.context"),
        ("/srv", "Dockerfile", "image.context"),
        ("a/../../b", "Dockerfile", "image.context"),
        (".", "../Dockerfile", "image.dockerfile"),
        ("a", "../../Dockerfile", "image.dockerfile"),
        (".", "/etc/passwd", "image.dockerfile"),
    ],
)
def test_what_the_image_is_built_from_lies_inside_the_repository(context: str, dockerfile: str, wrong: str) -> None:
    found = reading.problems(f"projectId: a\nimage: {{context: {context}, dockerfile: {dockerfile}}}")
    assert f"`{wrong}`" in "".join(one.message for one in found)


@pytest.mark.parametrize(("context", "dockerfile"), [(".", "a/Dockerfile"), ("./a/b", "../Dockerfile"), ("a/", "..x")])
def test_paths_inside_the_repository_are_fine(context: str, dockerfile: str) -> None:
    assert reading.load(f"projectId: a\nimage: {{context: {context}, dockerfile: {dockerfile}}}")


@pytest.mark.parametrize(
    "folder",
    [
        "relative",
        "/",
        "/a/../b",
        "/a/./b",
        "/a//b",
        "//a",
        "/a/",
        "/a:b",
        "/a b",
        "/proc",
        "/sys/x",
        "/..",
        "/etc",
        "/usr",
        '"/a\\n"',
        '"/a\\u00a0b"',
        '"/a\\u2003b"',
    ],
)
def test_a_writable_folder_is_an_absolute_path_said_in_the_shortest_way(folder: str) -> None:
    assert reading.app(f"writableDirs: [{folder}]").message.startswith("`writableDirs.0`")


@pytest.mark.parametrize(
    "folder", ["/a", "/etc/app", "/usr/share/app", "/app/.cache", "/..a", "/process", "/a/b..c", "/app/node_modules/@x"]
)
def test_other_folders_are_fine(folder: str) -> None:
    assert reading.load(f"projectId: a\nwritableDirs: ['{folder}']").writable_dirs == (folder,)


def test_a_folder_that_is_listed_twice_is_refused() -> None:
    assert reading.app("writableDirs: [/a, /b, /a]").message == "`writableDirs`: `/a` is listed twice"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("resources: {limits: {cpu: 3}}", "`resources.limits.cpu` is 3, more than the platform allows", "at most 2"),
        ("resources: {limits: {memory: 5Gi}}", "is 5Gi, more than the platform allows", "at most 4Gi"),
        ("databases: {postgresql: {storage: 11Gi}}", "`databases.postgresql.storage` is 11Gi", "at most 10Gi"),
        ("ingress: {annotations: {example.com/snippet: x}}", "annotation `example.com/snippet`", "example.com/size"),
        ("image: {repository: docker.io/acme/x}", "in no registry", "registry.example.com/acme"),
        ("image: {repository: registry.example.com/acmeevil/x}", "in no registry", "registry.example.com/acme"),
        ("envFrom: [{secretRef: {name: registry}}]", "the Secret `registry` can't be given", "a Secret of your own"),
        (
            "databases: {postgresql: {external: {secretName: registry}}}",
            "the Secret `registry` can't be given",
            "a Secret of your own",
        ),
        (
            "backup: onDestroy\ndatabases: {redis: true}",
            "no place for backups",
            "`backup.to` of the platform's settings",
        ),
    ],
)
def test_what_the_platform_does_not_allow_is_refused_at_its_line(text: str, message: str, hint: str) -> None:
    found = reading.problem(f"projectId: a\n{text}", reading.PLATFORM)
    assert found.line == 2
    assert message in found.message
    assert hint in found.hint


def test_a_backup_needs_something_to_back_up_and_a_place() -> None:
    for databases in ("", "databases: {redis: {external: {secretName: x}}}"):
        found = reading.app(f"backup: onDestroy\n{databases}")
        assert (found.line, "there is none" in found.message) == (2, True)
    somewhere = dataclasses.replace(reading.PLATFORM, backup=model.Backup(to="/backups"))
    assert reading.load("projectId: a\nbackup: onDestroy\ndatabases: {redis: true}", somewhere).backup == "onDestroy"


def test_a_config_map_may_have_the_name_of_a_pull_secret() -> None:
    assert reading.load("projectId: a\nenvFrom: [{configMapRef: {name: registry}}]", reading.PLATFORM)


def test_a_config_loaded_without_the_platform_can_be_held_against_it_later() -> None:
    loaded = reading.load("projectId: a\nresources:\n  limits:\n    cpu: 3\n")
    with pytest.raises(errors.ConfigError) as caught:
        config.check_fit(loaded, reading.PLATFORM)
    assert [(one.line, one.column) for one in caught.value.problems] == [(4, 5)]
    config.check_fit(reading.load("projectId: a"), reading.PLATFORM)


def test_a_dockerfile_is_not_blamed_for_its_context() -> None:
    assert "`image.context`" in reading.app("image: {context: ../x, dockerfile: Dockerfile}").message
    assert len(reading.problems("projectId: a\nimage: {context: ../x, dockerfile: /etc/passwd}")) == 2


@pytest.mark.parametrize(("name", "value"), [("storage", "2Gi"), ("bootstrap", "select 1"), ("seed", "a.sql")])
def test_what_only_a_deployed_database_has_is_refused_for_an_external_one(name: str, value: str) -> None:
    text = f"projectId: a\ndatabases:\n  postgresql:\n    external: {{secretName: orders}}\n    {name}: {value}\n"
    found = reading.problem(text)
    assert (found.line, "this one is external" in found.message) == (5, True)


def test_an_external_database_may_be_larger_than_what_the_platform_gives() -> None:
    loaded = reading.load("projectId: a\ndatabases: {postgresql: {external: {secretName: a}}}", reading.PLATFORM)
    assert (loaded.deployed, [one.external for one in loaded.external]) == ((), ["a"])


def test_an_external_database_needs_the_name_of_its_secret() -> None:
    found = reading.problem("projectId: a\ndatabases: {postgresql: {external: {}}}")
    assert "`databases.postgresql.external.secretName` is missing" in found.message


@pytest.mark.parametrize("name", ["command", "migrate"])
def test_a_command_in_one_word_is_the_name_of_no_program(name: str) -> None:
    found = reading.app(f"app:\n  {name}:\n    - npm run migrate\n")
    assert found.message == f"`app.{name}`: `npm run migrate` is the name of no program"
    assert (found.line, found.hint) == (3, 'each word by itself: ["npm", "run", "migrate"]')
    assert "is the name of no program" in reading.app(f'app: {{{name}: [""]}}').message
    assert reading.load(f"projectId: a\napp: {{{name}: [sh, -c, npm run a && npm run b]}}")


def test_an_external_database_has_no_version_of_ours() -> None:
    found = reading.app('databases: {redis: {external: {secretName: c}, version: "8"}}')
    assert "`databases.redis.version` is for a database that is deployed" in found.message


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ("../seed.sql", "`../seed.sql` is no file of the repository"),
        ("a/../../seed.sql", "is no file of the repository"),
        (".git/config", "is no file of the repository"),
        (".", "is no file of the repository"),
        ("/etc/passwd", "expected the path of a file in the repository"),
        ("{}", "found nothing, expected one of `file`, `url` and `image`"),
        ("{file: a, image: b, path: /c}", "found `file` and `image`, expected one"),
        ("{url: 'https://a.example/b'}", "`databases.redis.seed.url` needs `sha256` beside it"),
        ("{image: b}", "`databases.redis.seed.image` needs `path` beside it"),
        ("{file: a, path: /b}", "`databases.redis.seed.path` needs `image` beside it"),
        ("{url: 'http://a.example/b', sha256: x}", "an address that begins with https://"),
        ("{url: 'https://me:password@a.example/b', sha256: x}", "without a login"),
        ("{url: 'https://a.example/d\u00fcmp.sql', sha256: x}", "as %XX"),
        ("{url: 'https://a..example/b', sha256: x}", "an address that begins with https://"),
    ],
)
def test_a_seed_that_is_none_is_refused_at_its_line(seed: str, message: str) -> None:
    found = reading.problems(f"projectId: a\ndatabases:\n  redis:\n    seed: {seed}\n")
    assert {one.line for one in found} == {4}
    assert any(message in one.message for one in found), found


def test_a_seed_and_a_bootstrap_do_not_fill_the_same_database() -> None:
    found = reading.problem("projectId: a\ndatabases:\n  mariadb:\n    bootstrap: SELECT 1;\n    seed: a.sql\n")
    assert (found.line, "can't both be what an empty database begins with" in found.message) == (5, True)


def test_a_seed_in_an_image_comes_from_a_registry_of_the_platform() -> None:
    text = "projectId: a\ndatabases:\n  redis:\n    seed: {{image: {}/seed, path: /a}}\n"
    found = reading.problem(text.format("docker.io/acme"), reading.PLATFORM)
    assert (found.line, "in no registry the platform allows" in found.message) == (4, True)
    assert reading.load(text.format("registry.example.com/acme"), reading.PLATFORM)


@pytest.mark.parametrize(
    "seed",
    [
        "{url: 'http://x/y', sha256: '" + "a" * 64 + "'}",
        "{url: 'https://x/y', sha256: '" + "A" * 64 + "'}",
        "{image: 'GHCR.io/acme/seed:1', path: /d.sql}",
        "{image: 'ghcr.io/acme/:::', path: /d.sql}",
        "{image: ghcr.io/acme/seed:1, path: d.sql}",
    ],
)
def test_one_wrong_value_of_a_seed_is_one_problem(seed: str) -> None:
    reading.problem(f"projectId: a\ndatabases:\n  postgresql:\n    enabled: true\n    seed: {seed}\n")


def test_a_name_of_kubernetes_may_have_as_many_parts_as_fit() -> None:
    assert reading.load("projectId: a\ndatabases: {postgresql: {enabled: true, external: {secretName: a.b.c.d.e.f}}}\n")


@pytest.mark.parametrize(("listed", "image", "allowed"), [
    ("ghcr.io/acme/shop", "ghcr.io/acme/shop", True),
    ("ghcr.io/acme/shop", "ghcr.io/acme/shop@sha256:00", True),
    ("ghcr.io/acme/shop", "ghcr.io/acme/shop:1", True),
    ("ghcr.io/acme/shop", "ghcr.io/acme/shop/web", True),
    ("ghcr.io/acme/shop", "ghcr.io/acme/shopping", False),
    ("ghcr.io", "ghcr.io/acme/shop", True),
    ("ghcr.io", "ghcr.io:5000/acme/shop", False),
    ("ghcr.io", "ghcr.io.evil.example/acme/shop", False),
])  # fmt: skip
def test_a_registry_a_part_of_one_and_one_repository_can_be_listed(listed: str, image: str, allowed: bool) -> None:
    platform = dataclasses.replace(reading.PLATFORM, registries=(listed,))
    assert fit.from_registry(image, platform) == allowed


@pytest.mark.parametrize("port", ["0", "65536", "99999", "080"])
def test_a_port_that_there_is_not_is_refused(port: str) -> None:
    assert "image.repository" in reading.app(f"image: {{repository: 'localhost:{port}/x'}}").message
    assert reading.load("projectId: a\nimage: {repository: 'localhost:65535/x'}")


def test_what_follows_from_a_mistake_is_not_called_one() -> None:
    found = reading.app("databases: {postgresql: sometimes}\nbackup: onDestroy\n")
    assert "backup" not in found.message
