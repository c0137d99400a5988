"""As much of GitHub's GraphQL as the toolkit asks, executed for real: fields, arguments and types are checked.

TYPES is from GitHub's published schema (@octokit/graphql-schema 15.26.1, MIT): a field that is not in it is refused, as
GitHub refuses one that it does not know.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.wire import github_state as states

Object = dict[str, Any]
Arguments = Mapping[str, Any]
Find = Callable[[str], states.Repository | None]

# By type and field: what the field is, and its arguments. `!` = never null.
TYPES: dict[str, dict[str, tuple[str, dict[str, str]]]] = {
    "Query": {
        "viewer": ("User!", {}),
        "repository": ("Repository", {"owner": "String!", "name": "String!", "followRenames": "Boolean"}),
    },
    "User": {"login": ("String!", {})},
    "Repository": {
        "databaseId": ("Int", {}),
        "nameWithOwner": ("String!", {}),
        "pullRequest": ("PullRequest", {"number": "Int!"}),
    },
    "PullRequest": {
        "number": ("Int!", {}),
        "state": ("PullRequestState!", {}),
        "closedAt": ("DateTime", {}),
        "mergedAt": ("DateTime", {}),
        "headRefOid": ("GitObjectID!", {}),
    },
}

_TOKEN = re.compile(r'\s*,?\s*(?:(\.\.\.|[{}():!$])|([A-Za-z_][A-Za-z0-9_]*)|(-?[0-9]+)|("[^"\\]*"))')


class InvalidError(Exception):
    """The whole query is refused, as GitHub does: status 200 with `errors` and no `data`."""


@dataclasses.dataclass(frozen=True)
class Field:
    alias: str
    name: str
    arguments: Arguments
    fields: tuple[Field, ...]


@dataclasses.dataclass(frozen=True)
class Seen:
    """One pull request that was asked for: where in the answer it stands."""

    path: tuple[str, str]
    repository: str
    number: int


def execute(body: Any, *, login: str, find: Find) -> tuple[Object, list[Seen]]:
    """The answer, and which pull requests it is about. `find` gives a repository by its name."""
    try:
        fields = _Parser(str((body or {}).get("query")), (body or {}).get("variables") or {}).document()
        for field in fields:
            _check("Query", field)
    except InvalidError as error:
        return {"errors": [{"message": str(error)}]}, []
    data: Object = {}
    wrong: list[Object] = []
    seen: list[Seen] = []
    for field in fields:
        if field.name == "viewer":
            data[field.alias] = _plain(field, {"login": login})
        else:
            data[field.alias] = _repository(field, find, wrong, seen)
    return {"data": data, **({"errors": wrong} if wrong else {})}, seen


def _repository(field: Field, find: Find, wrong: list[Object], seen: list[Seen]) -> Object | None:
    owner, name = field.arguments["owner"], field.arguments["name"]
    found = find(f"{owner}/{name}")
    pulls = [one for one in field.fields if one.name == "pullRequest"]
    seen += [Seen((field.alias, one.alias), f"{owner}/{name}", one.arguments["number"]) for one in pulls]
    if found is None:
        wrong.append(_not_found([field.alias], f"Could not resolve to a Repository with the name '{owner}/{name}'."))
        return None
    values: Object = {"databaseId": found.id, "nameWithOwner": found.full_name}
    answer = _plain(field, values, leave_out="pullRequest")
    for one in pulls:
        pull = found.pulls.get(one.arguments["number"])
        answer[one.alias] = pull and _plain(one, _pull(pull))
        if pull is None:
            said = f"Could not resolve to a PullRequest with the number of {one.arguments['number']}."
            wrong.append(_not_found([field.alias, one.alias], said))
    return answer


def _pull(pull: states.Pull) -> Object:
    return {
        "number": pull.number,
        "state": "OPEN" if pull.state == "open" else "MERGED" if pull.merged else "CLOSED",
        "closedAt": pull.closed,
        "mergedAt": pull.closed if pull.merged else None,
        "headRefOid": pull.head_sha,
    }


def _plain(field: Field, values: Object, *, leave_out: str = "") -> Object:
    return {one.alias: values[one.name] for one in field.fields if one.name != leave_out}


def _not_found(path: list[str], message: str) -> Object:
    return {"type": "NOT_FOUND", "path": path, "locations": [{"line": 1, "column": 1}], "message": message}


def _check(kind: str, field: Field) -> None:
    if field.name not in TYPES[kind]:
        raise InvalidError(f"Field '{field.name}' doesn't exist on type '{kind}'")
    answer, takes = TYPES[kind][field.name]
    for name, value in field.arguments.items():
        if name not in takes or not _fits(value, takes[name].rstrip("!")):
            raise InvalidError(f"Argument '{name}' on Field '{field.name}' has an invalid value ({value!r})")
    if missing := {name for name, given in takes.items() if given.endswith("!")} - set(field.arguments):
        raise InvalidError(f"Field '{field.name}' is missing required arguments: {', '.join(missing)}")
    if bool(field.fields) != (answer.rstrip("!") in TYPES):
        raise InvalidError(f"Field '{field.name}' must have selections if it is an object, and none if it is not")
    for one in field.fields:
        _check(answer.rstrip("!"), one)


def _fits(value: Any, kind: str) -> bool:
    """An Int of GraphQL has 32 bits."""
    if kind == "Int":
        return isinstance(value, int) and -(2**31) <= value < 2**31
    return isinstance(value, {"String": str, "Boolean": bool}[kind])


class _Parser:
    """Operations, aliases, arguments, variables and named fragments. Raises InvalidError."""

    def __init__(self, text: str, variables: Mapping[str, Any]) -> None:
        self._tokens = list(_tokens(text))
        self._variables = variables
        self._declared: set[str] = set()
        self._fragments = self._split_fragments()
        self._at = 0

    def document(self) -> tuple[Field, ...]:
        self._take("query")
        if self._peek() == "(":
            self._declare()
        found = self._selection()
        if self._peek():
            raise InvalidError(f"Parse error on {self._peek()!r}")
        return found

    def _split_fragments(self) -> dict[str, list[str]]:
        """`fragment NAME on TYPE { … }` out of the token list: bodies by name."""
        found: dict[str, list[str]] = {}
        while "fragment" in self._tokens:
            start = self._tokens.index("fragment")
            end = self._tokens.index("}", start) + 1
            found[self._tokens[start + 1]] = self._tokens[start + 5 : end - 1]
            del self._tokens[start:end]
        return found

    def _declare(self) -> None:
        self._take("(")
        while self._peek() != ")":
            self._take("$")
            self._declared.add(self._next())
            self._take(":")
            self._next()
            if self._peek() == "!":
                self._next()
        self._take(")")
        if missing := self._declared - set(self._variables):
            raise InvalidError(f"Variable ${min(missing)} of type String! was provided invalid value")

    def _selection(self) -> tuple[Field, ...]:
        found: list[Field] = []
        self._take("{")
        while self._peek() != "}":
            if self._peek() == "...":
                self._next()
                found += [Field(name, name, {}, ()) for name in self._fragment(self._next())]
            else:
                found.append(self._field())
        self._take("}")
        return tuple(found)

    def _fragment(self, name: str) -> list[str]:
        if name not in self._fragments:
            raise InvalidError(f"Fragment {name} was used, but not defined")
        return self._fragments[name]

    def _field(self) -> Field:
        alias = name = self._next()
        if self._peek() == ":":
            self._next()
            name = self._next()
        arguments: dict[str, Any] = {}
        if self._peek() == "(":
            self._take("(")
            while self._peek() != ")":
                key = self._next()
                self._take(":")
                arguments[key] = self._value()
            self._take(")")
        return Field(alias, name, arguments, self._selection() if self._peek() == "{" else ())

    def _value(self) -> Any:
        token = self._next()
        if token == "$":
            name = self._next()
            if name not in self._declared:
                raise InvalidError(f"Variable ${name} is used but not declared")
            return self._variables[name]
        if not re.fullmatch(r'-?[0-9]+|".*"', token, re.ASCII):
            raise InvalidError(f"Parse error on {token!r}: expected a value")
        return token.strip('"') if token.startswith('"') else int(token)

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _next(self) -> str:
        self._at += 1
        if self._at > len(self._tokens):
            raise InvalidError("Parse error: the query ends too early")
        return self._tokens[self._at - 1]

    def _take(self, expected: str) -> None:
        if (found := self._next()) != expected:
            raise InvalidError(f"Parse error on {found!r}: expected {expected!r}")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while text[at:].strip(" ,\n"):
        found = _TOKEN.match(text, at)
        if not found:
            raise InvalidError(f"Parse error at {at}")
        yield next(one for one in found.groups() if one is not None)
        at = found.end()
