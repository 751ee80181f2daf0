"""Network, mount and pid namespaces, entered by the supervisor when it runs a real node.

Links, addresses, nft rules and mounts of the node live in them and vanish with their last process;
the pid namespace makes the kernel kill everything (container processes included) with its first.
Python's `os.unshare` came with 3.12, so libc is called.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from typing import NoReturn

from presage_sandbox.errors import SandboxError

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_REC_PRIVATE = 0x4000 | 0x40000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result != 0:
        reason = os.strerror(ctypes.get_errno())
        raise SandboxError(
            f"{what}: {reason}; a real node (--node) needs root on Linux. "
            "Run as root, or without --node for the control plane alone"
        )


def run_in_namespaces(body: Callable[[], int], address: str) -> int:
    """Run `body` in new network, mount and pid namespaces and return its exit code.

    Blocks in the caller, which stays outside and passes SIGTERM on. Sockets that the caller opened
    before are inherited and keep listening outside. Inside, loopback is up and has `address` too,
    /proc shows the new pid namespace, and mounts do not propagate to the host. Orphans are reaped by
    the namespace's first process; when it or the caller dies, the kernel kills all that is inside.
    """
    _call(
        "unshare(CLONE_NEWNET|CLONE_NEWNS|CLONE_NEWPID)",
        _libc.unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID),
    )
    first = os.fork()
    if first == 0:
        _exit_with(lambda: _be_first(body, address))
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _frame: os.kill(first, number))
    return _wait_for(first)


def _exit_with(body: Callable[[], int]) -> NoReturn:
    """End this forked process with `body`'s code, without the parent's clean-up handlers."""
    code = 1
    try:
        code = body()
    except SandboxError as error:
        os.write(2, f"{error}\n".encode())
    finally:
        os._exit(code)


def _be_first(body: Callable[[], int], address: str) -> int:
    """Be pid 1: prepare the namespaces, start `body` as a child, reap until it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _call("making mounts private", _libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
    _call("mounting /proc", _libc.mount(b"proc", b"/proc", b"proc", 0, None))
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{address}/32", "dev", "lo"],
    ):
        subprocess.run(command, check=True)  # noqa: S603 - fixed commands
    child = os.fork()
    if child == 0:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        _exit_with(body)
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda number, _frame: os.kill(child, number))
    return _wait_for(child)


def _wait_for(child: int) -> int:
    """Reap every process that ends until `child` does; its exit code, 128 + signal when killed."""
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
