"""A dump is whole when the mark at its end has arrived, wherever the connection cuts it into pieces."""

from __future__ import annotations

import pytest

from k8s_ee.commands import contents

MARK = b"#mark#"


@pytest.mark.parametrize("size", range(1, 14))
@pytest.mark.parametrize("dump", [b"", b"x", MARK, b"data #mark data", b"data" + MARK[:5]])
def test_what_comes_before_the_mark_is_handed_on_in_any_pieces(dump: bytes, size: int) -> None:
    got = bytearray()
    whole = contents.Whole(got.extend, mark=MARK)
    sent = dump + MARK
    for at in range(0, len(sent), size):
        whole.write(sent[at : at + size])
    assert (bytes(got), whole.is_complete, whole.arrived.is_set()) == (dump, True, True)


def test_without_its_mark_it_is_not_whole() -> None:
    whole = contents.Whole(bytearray().extend, mark=MARK)
    whole.write(b"data" + MARK[:-1])
    assert not whole.is_complete
    assert not whole.arrived.is_set()
