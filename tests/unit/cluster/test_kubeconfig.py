from __future__ import annotations

import base64
import contextlib
import datetime
import json
import pathlib
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from k8s_ee import cluster, errors, redact, settings
from tests.unit.cluster import conftest
from tests.wire import kube as wire


def connect(text: str | pathlib.Path, context: str | None = None) -> cluster.Cluster:
    return cluster.connect(settings.Connection(kubeconfig=str(text), context=context))


def written(path: pathlib.Path, url: str, user: dict[str, object], name: str = "here") -> pathlib.Path:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def test_a_token_a_token_file_and_a_password_are_sent(kube: wire.Kube, url: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    users: list[dict[str, object]] = [{"token": "plain"}, {"tokenFile": "token"}, {"username": "a", "password": "b"}]
    for number, user in enumerate(users):
        connect(written(tmp_path / f"{number}", url, user)).version()
    sent = [seen.headers["Authorization"] for seen in kube.seen]
    assert sent == ["Bearer plain", "Bearer from-file", "Basic YTpi"]


def test_a_token_file_that_was_renewed_is_read_again_after_a_401(
    kube: wire.Kube, url: str, tmp_path: pathlib.Path
) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    kube.tokens = {"old"}
    api = connect(written(tmp_path / "config", url, {"tokenFile": "token"}))
    api.get("Namespace", "x")
    token.write_text("new")
    kube.tokens = {"new"}
    assert api.get("Namespace", "x") is None


RANCHER = "kubeconfig-u-abc:q8xk2vbn7r4tz9m3"


def test_the_line_feed_after_a_token_is_not_sent_and_nothing_is_printed_of_it(
    kube: wire.Kube, url: str, tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    api = connect(written(tmp_path / "config", url, {"token": f" {RANCHER}\n"}))
    api.warm()
    assert api.version()
    user = plugin(tmp_path, credential(token=f"{RANCHER}\\n"))
    assert connect(written(tmp_path / "plugged", url, user)).version()
    assert {seen.headers["Authorization"] for seen in kube.seen} == {f"Bearer {RANCHER}"}
    assert capfd.readouterr() == ("", "")


UNSENT = ["q8xk\n2vbn", "q8xk 2vbn", "q8xké", "q8xk\x07", "\n"]


@pytest.mark.parametrize(
    ("way", "token"),
    [(way, token) for way in ("text", "file", "plugin") for token in UNSENT]
    + [(way, token) for way in ("text", "plugin") for token in (24680, ["q8xk"], {"q8xk": 1})],
)
def test_a_token_that_can_not_be_sent_is_refused_and_not_quoted(
    url: str, tmp_path: pathlib.Path, way: str, token: Any
) -> None:
    user: dict[str, object] = {"token": token} if way == "text" else {"tokenFile": "token"}
    (tmp_path / "token").write_text(str(token), encoding="utf-8")
    if way == "plugin":
        (tmp_path / "answer").write_text(json.dumps({**json.loads(ANSWER), "status": {"token": token}}))
        user = plugin(tmp_path, "cat answer")
    with pytest.raises(errors.ClusterUnavailable) as caught:
        connect(written(tmp_path / "config", url, user)).version()
    said = caught.value.message + caught.value.hint
    assert "token" in said
    assert "q8xk" not in said
    assert "24680" not in said


def test_whatever_a_kubeconfig_lets_us_in_with_is_hidden_before_it_is_sent(url: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "token").write_text(RANCHER)
    users: list[dict[str, object]] = [
        {"token": f"{RANCHER}\n"},
        {"tokenFile": "token"},
        plugin(tmp_path, credential(token=RANCHER)),
        {"username": "team", "password": RANCHER},
    ]
    for number, user in enumerate(users):
        redactor = redact.Redactor()
        found = settings.Connection(kubeconfig=str(written(tmp_path / f"{number}", url, user)))
        cluster.connect(found, hide=redactor.add).version()
        basic = base64.b64encode(f"team:{RANCHER}".encode()).decode() if number == 3 else ""
        assert redactor.redact(f"it says {RANCHER} and {basic}") == f"it says *** and {'***' if basic else ''}"


def plugin(tmp_path: pathlib.Path, body: str) -> dict[str, object]:
    program = tmp_path / "plugin"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin", "interactiveMode": "Never"}
    }


ANSWER = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}'


def credential(**status: str) -> str:
    body = {**json.loads(ANSWER), "status": status}
    return f"echo called >> calls; echo '{json.dumps(body)}'"


def test_an_exec_plugin_is_run_once_while_its_token_lasts(kube: wire.Kube, url: str, tmp_path: pathlib.Path) -> None:
    later = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    user = plugin(tmp_path, credential(token="minted", expirationTimestamp=later))
    api = connect(written(tmp_path / "config", url, user))
    api.get("Namespace", "x")
    api.get("Namespace", "y")
    assert {seen.headers["Authorization"] for seen in kube.seen} == {"Bearer minted"}
    assert (tmp_path / "calls").read_text() == "called\n"


def test_an_expired_token_of_an_exec_plugin_is_minted_again(url: str, tmp_path: pathlib.Path) -> None:
    user = plugin(tmp_path, credential(token="minted", expirationTimestamp="2020-01-01T00:00:00Z"))
    api = connect(written(tmp_path / "config", url, user))
    api.get("Namespace", "x")
    assert (tmp_path / "calls").read_text().count("called") > 1


def test_an_end_of_a_token_that_can_not_be_read_is_none(url: str, tmp_path: pathlib.Path) -> None:
    user = plugin(tmp_path, credential(token="minted", expirationTimestamp="tomorrow"))
    assert connect(written(tmp_path / "config", url, user)).version()
    assert (tmp_path / "calls").read_text() == "called\n"


def test_an_exec_plugin_that_fails_is_named(url: str, tmp_path: pathlib.Path) -> None:
    config = written(tmp_path / "config", url, plugin(tmp_path, "echo 'not logged in' >&2; exit 1"))
    with pytest.raises(errors.ClusterUnavailable, match=r"plugin.*not logged in"):
        connect(config).version()


@pytest.mark.parametrize(
    "wrong",
    [{"args": 5}, {"env": 5}, {"command": 5}, {"args": [5]}, {"apiVersion": [1]}, {"env": [5]}],
    ids=str,
)
def test_an_exec_section_of_other_types_is_named(url: str, tmp_path: pathlib.Path, wrong: dict[str, object]) -> None:
    user = plugin(tmp_path, credential(token="minted"))
    user["exec"] = {**user["exec"], **wrong}  # type: ignore[dict-item]
    with pytest.raises(errors.ClusterUnavailable, match="exec plugin"):
        connect(written(tmp_path / "config", url, user)).version()


@pytest.mark.parametrize("said", [r"\377\376", json.dumps({**json.loads(ANSWER), "status": 5}), "5", "[]", "{}"])
def test_an_exec_plugin_that_says_something_else_is_named(url: str, tmp_path: pathlib.Path, said: str) -> None:
    config = written(tmp_path / "config", url, plugin(tmp_path, f"printf '%b' '{said}'"))
    with pytest.raises(errors.ClusterUnavailable, match="exec plugin"):
        connect(config).version()


@pytest.mark.parametrize("given", ["nope.yaml", "./kube.config", "~nobody-of-that-name/config.yaml"])
def test_a_name_that_is_mistyped_is_quoted(given: str) -> None:
    with pytest.raises(errors.ClusterUnavailable, match=f"no kubeconfig at {given.removeprefix('./')}"):
        connect(given)


def test_a_kubeconfig_that_has_nothing_is_not_taken_for_absent(tmp_path: pathlib.Path) -> None:
    (tmp_path / "config").write_text("clusters: []\n")
    with pytest.raises(errors.ClusterUnavailable) as caught:
        connect(tmp_path / "config")
    assert "no kubeconfig at" not in caught.value.message


def test_several_files_are_merged_and_a_context_is_chosen(kube: wire.Kube, url: str, tmp_path: pathlib.Path) -> None:
    first = written(tmp_path / "a", "http://127.0.0.1:1", {"token": "wrong"}, name="first")
    second = written(tmp_path / "b", url, {"token": "right"}, name="second")
    connect(f"{first}:{second}", context="second").version()
    assert kube.seen[0].headers["Authorization"] == "Bearer right"


def test_a_missing_kubeconfig_says_where_it_was_looked_for(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ClusterUnavailable, match="nowhere"):
        connect(tmp_path / "nowhere")


def test_an_unknown_context_lists_the_known_ones(url: str) -> None:
    with pytest.raises(errors.ClusterUnavailable) as caught:
        connect(conftest.KUBECONFIG.format(url=url), context="there")
    assert "here" in caught.value.hint


def test_outside_a_cluster_in_cluster_is_an_error_of_one_line() -> None:
    with pytest.raises(errors.ClusterUnavailable, match="not inside a cluster"):
        cluster.connect(settings.Connection(in_cluster=True))


@pytest.fixture
def certificate(tmp_path: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    key, pem = tmp_path / "tls.key", tmp_path / "tls.crt"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        [*command, *subject, "-days", "1", "-keyout", key, "-out", pem], check=True, capture_output=True, timeout=30
    )
    return pem, key


@pytest.fixture
def encrypted(
    kube: wire.Kube, certificate: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> Iterator[dict[str, Any]]:
    """A kubeconfig that lacks the authority, of a server that wants a client's certificate."""
    pem, key = certificate
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pem))
    server_side.verify_mode = ssl.CERT_REQUIRED
    server_side.load_cert_chain(pem, key)
    server, url = wire.serve(kube, tls=server_side)
    user: dict[str, object] = {
        "client-certificate-data": base64.b64encode(pem.read_bytes()).decode(),
        "client-key": str(key),
    }
    yield yaml.safe_load(written(tmp_path / "config", url, user).read_text())
    server.shutdown()
    server.server_close()


def trusting(config: dict[str, Any], pem: pathlib.Path) -> cluster.Cluster:
    config["clusters"][0]["cluster"]["certificate-authority"] = str(pem)
    return connect(yaml.safe_dump(config))


def test_a_client_certificate_is_shown_and_the_server_s_is_checked(
    encrypted: dict[str, Any], certificate: tuple[pathlib.Path, pathlib.Path], tmp_path: pathlib.Path
) -> None:
    with pytest.raises(errors.ClusterUnavailable, match="certificate of"):
        connect(yaml.safe_dump(encrypted)).version()
    assert trusting(encrypted, certificate[0]).version() == "1.34.5"
    assert not list(tmp_path.glob("*.pem"))


def test_a_connection_cut_while_it_is_made_is_tried_again(tmp_path: pathlib.Path) -> None:
    tried = []

    def cut(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                taken = listening.accept()[0]
                tried.append(taken.recv(9999))
                taken.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=cut, args=(listening,), daemon=True).start()
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(errors.ClusterUnavailable, match="the connection was cut"):
            connect(written(tmp_path / "config", url, {"token": "plain"})).version()
    assert len(tried) == 5


def test_what_threads_connect_with_is_never_changed_while_they_do(
    kube: wire.Kube,
    encrypted: dict[str, Any],
    certificate: tuple[pathlib.Path, pathlib.Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    changes, change = [], ssl.SSLContext.set_alpn_protocols

    def counted(context: ssl.SSLContext, names: list[str]) -> None:
        changes.append(names)
        change(context, names)

    monkeypatch.setattr(ssl.SSLContext, "set_alpn_protocols", counted)
    api = trusting(encrypted, certificate[0])
    kube.fail("GET", "/version", 0)
    assert api.version() == "1.34.5"
    assert len(kube.seen) == 2
    assert changes == [["http/1.1"]]


def test_a_server_that_speaks_no_tls_is_said_so(kube: wire.Kube, url: str, tmp_path: pathlib.Path) -> None:
    text = written(tmp_path / "config", url.replace("http:", "https:"), {"token": "plain"}).read_text()
    with pytest.raises(errors.ClusterUnavailable, match=r"TLS failed, [A-Z_]+"):
        connect(text).version()


def test_a_kubeconfig_in_json_on_one_line_is_one(kube: wire.Kube, url: str, tmp_path: pathlib.Path) -> None:
    document = yaml.safe_load(written(tmp_path / "config", url, {"token": "plain"}).read_text())
    assert connect(json.dumps(document)).version()
    assert kube.seen[0].headers["Authorization"] == "Bearer plain"


@pytest.mark.parametrize("short", [True, False])
def test_a_secret_that_is_no_kubeconfig_is_not_quoted(url: str, tmp_path: pathlib.Path, *, short: bool) -> None:
    text = written(tmp_path / "config", url, {"token": "plain" * 100}).read_bytes()
    secret = "a-password-alone" if short else base64.b64encode(text).decode()
    with pytest.raises(errors.ClusterUnavailable) as caught:
        connect(secret)
    assert secret[:12] not in caught.value.message + caught.value.hint
    assert "base64" in caught.value.hint
