"""YAML text → a tree that knows where each value stands and how it was written.

Only the part of YAML that means the same to every reader is taken: one document of maps, lists and scalars, without
aliases, merge keys and tags. What a plain scalar *is* is not decided here but where the schema says what it should be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import yaml

from k8s_ee.config import problems as collecting
from k8s_ee.config import scalars, syntax

MAX_BYTES = 256 * 1024
MAX_DEPTH = 16
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Mark = collecting.Mark


@dataclasses.dataclass(slots=True)
class Scalar:
    """`plain` = written without quotes, so that YAML may read it as something else than text."""

    mark: Mark
    text: str
    plain: bool


@dataclasses.dataclass(slots=True)
class Sequence:
    mark: Mark
    items: list[Node]


@dataclasses.dataclass(slots=True)
class Mapping:
    mark: Mark
    values: dict[str, Node]
    keys: dict[str, Mark]


@dataclasses.dataclass(slots=True)
class Broken:
    """Something was written here, and what is wrong with it has been said already."""

    mark: Mark


Node = Scalar | Sequence | Mapping | Broken


def parse(text: str, problems: collecting.Problems, *, smallest: str = syntax.SMALLEST) -> Mapping:
    """Raises ConfigError for what can't be read at all; what can be read past is added to `problems`.

    `smallest` is the hint for a file without keys.
    """
    unreadable = syntax.unreadable(text)
    if unreadable:
        problems.fail(unreadable[0], unreadable[1], hint=unreadable[2])
    try:
        root = _Builder(problems).build(yaml.parse(text, _LOADER))
    except yaml.YAMLError as error:
        mark, message, hint = syntax.explain(error)
        problems.fail(mark, message, hint=hint)
    if isinstance(root, Broken):
        raise problems.error()
    if root is None or (isinstance(root, Scalar) and root.plain and not root.text):
        problems.fail(None, "the file is empty", hint=smallest)
    if not isinstance(root, Mapping):
        found = collecting.quote(root.text) if isinstance(root, Scalar) else "a list"
        problems.fail(root.mark, f"found {found}, expected keys with values", hint=smallest)
    return root


def _start(event: yaml.Event) -> Mark:
    mark = event.start_mark
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)


@dataclasses.dataclass(slots=True)
class _Open:
    """A map or list that is not closed yet. In a map keys and values take turns; a refused key is None."""

    node: Mapping | Sequence
    key: tuple[str, Mark] | None = None
    at_value: bool = False


class _Builder:
    """Takes parser events one by one, without recursion: the depth of a file must not be the depth of our stack."""

    def __init__(self, problems: collecting.Problems) -> None:
        self._problems = problems
        self._open: list[_Open] = []
        self._root: Node | None = None
        self._documents = 0

    def build(self, events: Iterator[yaml.Event]) -> Node | None:
        for event in events:
            mark = _start(event)
            match event:
                case yaml.DocumentStartEvent():
                    self._document(mark)
                case yaml.AliasEvent():
                    self._alias(event, mark)
                case yaml.ScalarEvent():
                    self._check(event, mark)
                    self._place(Scalar(mark, event.value, plain=event.implicit[0]))
                case yaml.SequenceStartEvent():
                    self._descend(Sequence(mark, []), event)
                case yaml.MappingStartEvent():
                    self._descend(Mapping(mark, {}, {}), event)
                case yaml.SequenceEndEvent() | yaml.MappingEndEvent():
                    self._open.pop()
        return self._root

    def _document(self, mark: Mark) -> None:
        self._documents += 1
        if self._documents > 1:
            self._problems.fail(mark, "a second document starts here", hint="one file holds one document: remove `---`")

    def _alias(self, event: yaml.AliasEvent, mark: Mark) -> None:
        self._problems.add(
            mark,
            f"found the alias {collecting.quote(f'*{event.anchor}')}",
            hint="aliases are not supported: write the value out; text that starts with '*' needs quotes",
        )
        self._place(Broken(mark))

    def _check(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, mark: Mark) -> None:
        if event.anchor is not None:
            hint = "anchors are not supported; text that starts with '&' needs quotes"
            self._problems.add(mark, f"found the anchor {collecting.quote(f'&{event.anchor}')}", hint=hint)
        if event.tag is not None:
            hint = "tags are not supported: quotes make a value text; text that starts with '!' needs quotes"
            self._problems.add(mark, f"found the tag {collecting.quote(event.tag)}", hint=hint)

    def _descend(self, node: Mapping | Sequence, event: yaml.CollectionStartEvent) -> None:
        if len(self._open) >= MAX_DEPTH:
            self._problems.fail(
                node.mark, f"nested more than {MAX_DEPTH} levels deep", hint="is the indentation right?"
            )
        self._check(event, node.mark)
        self._place(node)
        self._open.append(_Open(node))

    def _place(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, Sequence):
            parent.node.items.append(node)
            return
        if not parent.at_value:
            parent.key = self._key(node, parent.node)
        elif parent.key:
            text, mark = parent.key
            parent.node.values[text] = node
            parent.node.keys[text] = mark
        parent.at_value = not parent.at_value

    def _key(self, node: Node, mapping: Mapping) -> tuple[str, Mark] | None:
        """None for what can't be a key: its value is read, for what may be wrong in it, and dropped."""
        if isinstance(node, Broken):
            return None
        refusal = _refusal(node, mapping)
        if refusal:
            message, hint = refusal
            self._problems.add(node.mark, message, hint=hint)
        return None if refusal or not isinstance(node, Scalar) else (node.text, node.mark)


def _refusal(node: Node, mapping: Mapping) -> tuple[str, str] | None:
    """Why this can't be a key, with a hint."""
    if not isinstance(node, Scalar):
        return "found a list or map as a key", "keys are text; a value that starts with '{' or '[' needs quotes"
    if node.text in mapping.keys:
        first = mapping.keys[node.text].line
        return f"the key {collecting.quote(node.text)} is here twice, first on line {first}", "keep one of them"
    if node.plain and node.text == "<<":
        return "found the merge key `<<`", "merge keys are not supported: write the keys out"
    reading = scalars.read(node.text) if node.plain else scalars.TEXT
    if reading.kind != "text":
        return (
            f"the key {collecting.quote(node.text)} is {reading.phrase}",
            f"write it in quotes: {scalars.quoted(node.text)}",
        )
    return None
