"""What answers for the cluster need not be an API server: nothing is concluded from what a login page says."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator

import pytest

from k8s_ee import cluster, errors, settings
from tests.unit.cluster.conftest import KUBECONFIG

Serve = Callable[[int, bytes], cluster.Cluster]
PAGE = b"<!DOCTYPE html><title>Sign in</title>"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A cluster of which every question gets this status and body."""
    servers = []

    def made(status: int, body: bytes) -> cluster.Cluster:
        class Handler(http.server.BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = _answer

            def log_message(self, *_: object) -> None: ...

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        return cluster.connect(settings.Connection(kubeconfig=KUBECONFIG.format(url=url)))

    yield made
    for one in servers:
        one.shutdown()
        one.server_close()


QUESTIONS: dict[str, Callable[[cluster.Cluster], object]] = {
    "get": lambda api: api.get("Namespace", "shop-pr-7"),
    "list": lambda api: api.list("Namespace"),
    "delete": lambda api: api.delete("Namespace", "shop-pr-7", uid="1"),
    "version": lambda api: api.version(),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("body", [PAGE, b"", b"[]", b"{}", b"null", b"\xff\x00", b"[" * 100_000, b'{"items": []}'])
def test_a_page_is_no_answer(
    serve: Serve, question: Callable[[cluster.Cluster], object], status: int, body: bytes
) -> None:
    with pytest.raises(errors.ClusterUnavailable, match="is not a Kubernetes API server"):
        question(serve(status, body))


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind": "List", "items": 5}',
        b'{"kind": "List", "items": [5]}',
        b'{"kind": "List", "items": [{}]}',
        b'{"kind": "Namespace", "metadata": {}}',
    ],
)
def test_a_list_of_something_else_is_no_list(serve: Serve, body: bytes) -> None:
    with pytest.raises(errors.ClusterUnavailable, match="is not a Kubernetes API server"):
        serve(200, body).list("Namespace")


def test_a_proxy_that_knows_no_route_does_not_make_a_namespace_absent(serve: Serve) -> None:
    """The words are those of an API server that lacks a group, and namespaces are in none."""
    api = serve(404, b"404 page not found\n")
    with pytest.raises(errors.ClusterUnavailable, match="is not a Kubernetes API server"):
        api.get("Namespace", "shop-pr-7")
    assert api.get("ServiceMonitor", "app", "shop-pr-7") is None


def test_what_it_said_and_where_is_in_the_message(serve: Serve) -> None:
    with pytest.raises(errors.ClusterUnavailable) as caught:
        serve(200, PAGE).list("Namespace")
    assert "127.0.0.1" in caught.value.message
    assert "Sign in" in caught.value.message
