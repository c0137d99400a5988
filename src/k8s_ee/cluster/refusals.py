"""PURE. What the API server says no with → one of our errors, with the reason and what to do."""

from __future__ import annotations

from k8s_ee import errors
from k8s_ee.cluster.messages import Answer, Request


class Expired(errors.ClusterUnavailable):
    """The version a watch should start from is too old (410): list again."""


class UnknownKind(errors.ClusterUnavailable):
    """The cluster lacks the custom resource definition."""


def error_of(request: Request, answer: Answer) -> errors.K8sEEError:
    """The refusal of one request in words."""
    known = {
        400: _invalid,
        401: _unauthenticated,
        403: _forbidden,
        404: _absent,
        409: _contended,
        410: lambda _request, answer: Expired(answer.message),
        413: _invalid,
        415: _invalid,
        422: _invalid,
    }
    return known.get(answer.status, _failed)(request, answer)


def _unauthenticated(_request: Request, _answer: Answer) -> errors.K8sEEError:
    return errors.ClusterUnavailable(
        "the cluster does not accept these credentials (401)",
        hint="the token or client certificate is wrong, expired or for another cluster: make a new kubeconfig",
    )


def _invalid(request: Request, answer: Answer) -> errors.K8sEEError:
    return errors.InputError(
        f"the cluster does not accept {request.what}: {_fields(request, answer)}",
        hint="a value in k8s-ee.yaml or the platform settings ends up there",
    )


def _contended(request: Request, answer: Answer) -> errors.K8sEEError:
    return errors.ClusterUnavailable(
        f"{request.what} keeps being changed by somebody else: {answer.message}",
        hint="run the same command again: it goes on from what is there",
    )


def misfit(answer: Answer) -> bool:
    """Server-side apply answers 500 to a field that does not exist, although it is the object that is wrong."""
    return "failed to create typed patch object" in answer.message


def _failed(request: Request, answer: Answer) -> errors.K8sEEError:
    if misfit(answer):
        return _invalid(request, answer)
    reason = answer.message or "no reason given"
    return errors.ClusterUnavailable(
        f"the cluster failed to {_verb(request)} {request.what} ({answer.status}): {reason}",
        hint="the API server or one of its admission webhooks is ill; run the same command again later",
    )


def _verb(request: Request) -> str:
    verbs = {"GET": "read", "POST": "create", "PATCH": "change", "DELETE": "delete", "PUT": "change"}
    return verbs[request.method]


def _forbidden(request: Request, answer: Answer) -> errors.K8sEEError:
    message = answer.message
    if "is being terminated" in message:
        return errors.NotReady(f"{request.what}: its namespace is being deleted", hint="run the same command again")
    if "exceeded quota" in message:
        return errors.Refused(f"{request.what} exceeds the environment's quota: {message}", hint="ask for less")
    if "denied" in message or "violates PodSecurity" in message:
        return errors.Refused(
            f"a policy of the cluster refuses to {_verb(request)} {request.what}: {message}",
            hint="change what it names, or ask your platform team",
        )
    return errors.Refused(
        f"these credentials may not {_verb(request)} {request.what}: {message}",
        hint="the rights a deploy needs are in k8s/platform (ServiceAccount k8s-ee-ci)",
    )


def _absent(request: Request, answer: Answer) -> errors.K8sEEError:
    message = answer.message
    if message.startswith("namespaces "):
        return errors.NotReady(
            f"{request.what}: its namespace is gone", hint="it was deleted meanwhile; run the whole deploy again"
        )
    if "could not find the requested resource" in message or "page not found" in message:
        return UnknownKind(
            f"this cluster does not know {request.what}", hint="its custom resource definition is not installed"
        )
    return errors.NotReady(f"{request.what} is gone: {message}", hint="it was deleted meanwhile; run it again")


def _fields(request: Request, answer: Answer) -> str:
    """The API server quotes what it refuses, so of a Secret only the names of the fields are passed on."""
    if not request.what.startswith("Secret "):
        return answer.message
    causes = (answer.body.get("details") or {}).get("causes") or []
    return "invalid " + (", ".join(sorted({str(cause.get("field")) for cause in causes})) or "content")
