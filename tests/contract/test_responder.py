"""What k8s/responder ships fits the command it runs, and holds no more than that needs."""

from __future__ import annotations

from typing import Any

import yaml

from k8s_ee import cli, config, resources
from tests.contract import actionfiles

Manifest = dict[str, Any]

SHIPPED = actionfiles.ROOT / "k8s" / "responder"
NAME = "k8s-ee-responder"


def one(kind: str) -> Manifest:
    documents = [found for path in (SHIPPED / "base").glob("*.yaml") for found in yaml.safe_load_all(path.read_text())]
    (found,) = [document for document in documents if document["kind"] == kind]
    assert isinstance(found, dict)
    return found


def pod() -> Manifest:
    found: Manifest = one("Deployment")["spec"]["template"]["spec"]
    return found


def container() -> Manifest:
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def test_the_base_has_every_file_of_its_folder() -> None:
    listed = yaml.safe_load((SHIPPED / "base" / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in (SHIPPED / "base").iterdir()}


def test_it_runs_the_command_with_the_ports_and_options_that_this_has() -> None:
    (name,) = container()["args"]
    options = {option.name: option for option in cli.main.commands[name].params}
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"http": options["port"].default, "health": options["health_port"].default}
    known = {str(option.envvar) for option in options.values()}
    assert {entry["name"] for entry in container()["env"]} <= known
    for probe in ("readinessProbe", "livenessProbe"):
        assert container()[probe]["httpGet"]["port"] == "health", "that the app's paths are not"


def test_it_reads_the_settings_that_the_platform_installs() -> None:
    (mount,), (volume,) = container()["volumeMounts"], pod()["volumes"]
    (generated,) = yaml.safe_load((SHIPPED.parent / "platform" / "kustomization.yaml").read_text())[
        "configMapGenerator"
    ]
    assert (volume["configMap"]["name"], mount["name"]) == (generated["name"], volume["name"])
    (file,) = [entry["value"] for entry in container()["env"] if entry["name"] == "K8S_EE_PLATFORM_FILE"]
    assert file == mount["mountPath"]
    assert mount["subPath"] == generated["files"][0]


def test_what_ships_fits_the_settings_that_ship() -> None:
    text = (resources.directory("k8s") / "platform" / "platform.yaml").read_text()
    settings = config.load_platform(text, path="platform.yaml")
    route, (peer,) = one("Ingress")["spec"], one("NetworkPolicy")["spec"]["ingress"][0]["from"]
    assert route["ingressClassName"] == settings.ingress.class_name
    assert [rule["host"] for rule in route["rules"]] == route["tls"][0]["hosts"] == [f"*.{settings.domain}"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": settings.ingress.namespace}
    assert peer["podSelector"]["matchLabels"] == dict(settings.ingress.pod_labels)


def test_visitors_come_in_at_the_one_port_and_nothing_else_does() -> None:
    network, service = one("NetworkPolicy")["spec"], one("Service")["spec"]
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels.items() >= network["podSelector"]["matchLabels"].items() == service["selector"].items()
    assert [port["port"] for port in network["ingress"][0]["ports"]] == [service["ports"][0]["targetPort"]] == ["http"]
    (backend,) = [path["backend"]["service"] for path in one("Ingress")["spec"]["rules"][0]["http"]["paths"]]
    assert backend == {"name": one("Service")["metadata"]["name"], "port": {"name": service["ports"][0]["name"]}}
    assert network["policyTypes"] == ["Ingress", "Egress"]


def test_its_rights_are_to_watch_namespaces() -> None:
    assert one("ClusterRole")["rules"] == [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}]
    assert one("ServiceAccount")["automountServiceAccountToken"] is False
    assert (pod()["serviceAccountName"], pod()["automountServiceAccountToken"]) == (NAME, True)
    assert one("ClusterRoleBinding")["subjects"] == [
        {"kind": "ServiceAccount", "name": NAME, "namespace": "k8s-ee-system"}
    ]


def test_its_pod_keeps_to_pod_security_restricted_and_writes_nothing() -> None:
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_patches_that_the_guide_shows_fit_what_ships() -> None:
    text = (SHIPPED / "README.md").read_text()
    shown = yaml.safe_load(text.partition("```yaml\n")[2].partition("```")[0])
    for patch in shown["patches"]:
        for operation in yaml.safe_load(patch["patch"]):
            found: Any = one(patch["target"]["kind"])
            for key in operation["path"].strip("/").split("/"):
                found = found[int(key) if isinstance(found, list) else key]
            assert type(found) is type(operation["value"])
    assert container()["image"] == shown["images"][0]["name"]
