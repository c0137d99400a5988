"""A command in a container of the real cluster, with the rights that k8s/platform gives a deploy."""

import hashlib
import random
from collections.abc import Iterator

import pytest

from k8s_ee import cluster, errors, settings
from k8s_ee.cluster import pool, remote
from k8s_ee_sandbox import cluster as sandboxes
from tests import conftest
from tests.cluster import environments

pytestmark = pytest.mark.cluster

POD = "db-0"


@pytest.fixture(scope="module")
def home(sandbox: sandboxes.Sandbox) -> Iterator[environments.Home]:
    """With a pod that has a shell."""
    with environments.home(sandbox) as made:
        made.api.create_only(environments.pull_secret(sandbox, made.name))
        made.ready(environments.database("db", made.image))
        yield made


def test_what_goes_in_comes_out_byte_by_byte_and_ends(home: environments.Home, deployer: cluster.Cluster) -> None:
    content = random.Random(1).randbytes(8 << 20)  # noqa: S311
    got = hashlib.sha256()
    ended = remote.run(
        deployer,
        home.name,
        POD,
        "cat",
        stdin=[content[:7], content[7:]],
        stdout=got.update,
        deadline=environments.soon(),
    )
    assert ended == remote.Ended(0, "")
    assert got.hexdigest() == hashlib.sha256(content).hexdigest()


def test_how_it_ended_and_what_it_said_are_told(home: environments.Home) -> None:
    command = ("sh", "-c", "cat > /dev/null; echo no >&2; exit 3")
    ended = remote.run(home.api, home.name, POD, *command, stdin=[bytes(1 << 20)], deadline=environments.soon())
    assert ended == remote.Ended(3, "no")


def test_a_source_that_fails_is_the_error_and_its_command_goes(home: environments.Home) -> None:
    def source() -> Iterator[bytes]:
        yield b"half"
        raise errors.InputError("cut off")

    with pytest.raises(errors.InputError, match="cut off"):
        remote.run(home.api, home.name, POD, "cat", stdin=source(), deadline=environments.soon())


def test_one_that_does_not_end_is_given_up_in_time(home: environments.Home) -> None:
    with pytest.raises(errors.ClusterUnavailable, match="did not end in time"):
        remote.run(home.api, home.name, POD, "sleep", "60", deadline=environments.soon(1))


def test_no_such_pod_or_program_is_an_error_of_its_own(home: environments.Home) -> None:
    with pytest.raises(errors.NotReady, match='pods "db-9" not found'):
        remote.run(home.api, home.name, "db-9", "true", deadline=environments.soon())
    with pytest.raises(errors.ClusterUnavailable, match="no-such-program"):
        remote.run(home.api, home.name, POD, "no-such-program", deadline=environments.soon())


def test_pods_that_are_in_no_environment_stay_out_of_reach(
    deployer: cluster.Cluster, kubectl: conftest.Kubectl
) -> None:
    name = kubectl("-n", "ingress", "get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    with pytest.raises(errors.Refused, match="only write inside environments"):
        remote.run(deployer, "ingress", name, "true", deadline=environments.soon())


def test_a_server_that_can_not_be_reached_is_named(connection_to_nowhere: settings.Connection) -> None:
    nowhere = cluster.connect(connection_to_nowhere)
    with pytest.raises(errors.ClusterUnavailable, match="connection refused"):
        remote.run(nowhere, "n", POD, "true", deadline=environments.soon())


@pytest.fixture
def connection_to_nowhere() -> settings.Connection:
    user = {"name": "u", "user": {"token": "t"}}
    where = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
    text = {"clusters": [where], "users": [user], "contexts": [context], "current-context": "x"}
    return settings.Connection(kubeconfig=str(text).replace("'", '"'))


def test_reading_and_writing_at_once_breaks_no_connection(home: environments.Home) -> None:
    """TLS does not bear it: before it was kept apart, one of some hundred was lost."""

    def one() -> remote.Ended:
        return remote.run(home.api, home.name, POD, "cat", stdin=[bytes(1 << 20)], deadline=environments.soon())

    ended = {found for _round in range(15) for found in pool.side_by_side([one] * 4)}
    assert ended == {remote.Ended(0, "")}
