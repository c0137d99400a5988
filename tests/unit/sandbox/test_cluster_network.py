import itertools
import shlex
import subprocess
import sys

import pytest

from k8s_ee_sandbox import errors, network, state

_ALL = [network.Network(name="x", slot=slot) for slot in range(network.SLOTS)]


def test_no_two_sandboxes_share_an_address() -> None:
    ranges = [part for net in _ALL for part in (net.links, net.pods, net.services)]
    assert not [pair for pair in itertools.combinations(ranges, 2) if pair[0].overlaps(pair[1])]


@pytest.mark.parametrize("net", [_ALL[0], _ALL[-1]])
def test_addresses_lie_in_their_ranges(net: network.Network) -> None:
    assert net.node_pods.subnet_of(net.pods)
    assert str(net.services).startswith("10.211.")
    assert {net.node, net.host, net.internet, net.node_outside} < {str(address) for address in net.links}
    assert (net.api_service, net.dns_service) == (str(net.services[1]), str(net.services[10]))


def test_the_longest_name_fits_into_a_link_name() -> None:
    name = state.place("a23456789012").name
    assert len(network.Network(name=name, slot=0).link) <= 15


@pytest.mark.parametrize("name", ["", "a234567890123", "Upper", "-a", "a-", "a_b", "1a", "../x", "dev-inet"])
def test_a_name_that_could_not_be_a_link_is_refused(name: str) -> None:
    with pytest.raises(errors.SandboxError, match="can't be the name of a sandbox"):
        state.place(name)


def test_the_folder_of_network_namespaces_is_no_mount_any_more_once_none_is_in_it() -> None:
    script = f"""
        umount -R -l /run/netns 2>/dev/null
        mount -t tmpfs none /run
        remove() {{ {shlex.quote(sys.executable)} -c "from k8s_ee_sandbox import network; network.remove('$1')"; }}
        mounts() {{ grep -c ' /run/netns ' /proc/self/mountinfo; }}
        ip netns add k8s-ee-one; ip netns add k8s-ee-two
        mounts; remove one; mounts; remove two; mounts
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["1", "1", "0"], "")


def test_the_folder_is_not_unmounted_while_somebody_adds_to_it() -> None:
    """`ip netns add` first mounts it, and only then makes the file that says it is in use."""
    script = f"""
        umount -R -l /run/netns 2>/dev/null
        mount -t tmpfs none /run
        remove() {{ {shlex.quote(sys.executable)} -c "from k8s_ee_sandbox import network; network.remove('nobody')"; }}
        mkdir /run/netns; mount --bind /run/netns /run/netns
        exec 9</run; flock 9
        remove 9<&- & sleep 0.7; grep -c ' /run/netns ' /proc/self/mountinfo
        flock -u 9; wait; grep -c ' /run/netns ' /proc/self/mountinfo
    """
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["1", "0"], "")
