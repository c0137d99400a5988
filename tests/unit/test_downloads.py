"""What a seed's address may be that no file can be had from."""

import time

import pytest

from k8s_ee import downloads, errors


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "a..example"])
def test_a_host_that_can_not_be_is_named(host: str) -> None:
    with pytest.raises(errors.Unavailable, match=f"https://{host}/seed.sql can't be read"):
        next(downloads.read(f"https://{host}/seed.sql?key=secret", deadline=time.monotonic() + 5))
