"""A process that is about to run code of users goes into namespaces of its own.

Inside there are no processes but its own, no network, and a ``/proc`` that shows nobody else's
environment. Whatever it starts, however it detaches itself, ends with it.
"""

import ctypes
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_MS_REC_PRIVATE = 0x4000 | 1 << 18
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None)


def enter() -> bool:
    """Go on as a descendant inside new namespaces; False where the kernel refuses them.

    Call it before anything starts a thread. The processes that stay behind wait, kill what the one
    that went on has left, and exit as it did: with its code, or 128 + n for signal n. SIGTERM to
    the outermost ends them all, and so does the death of whoever started it. Where namespaces are
    refused only this much is done.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # strays become children of this process
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    apart = _unshare()
    _go_on_as_child()
    if apart:
        _libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)
        # Refused in some containers: then the old one stays.
        _libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID_NODEV_NOEXEC, None)
        _go_on_as_child()  # the first process of a namespace is deaf to signals: be the second
    return apart


def _unshare() -> bool:
    """Leave the namespaces; with one of users first, which takes root's powers away."""
    apart = os.CLONE_NEWPID | os.CLONE_NEWNET | os.CLONE_NEWNS | os.CLONE_NEWIPC
    for flags in (os.CLONE_NEWUSER | apart, apart):
        with suppress(OSError):
            os.unshare(flags)
            return True
    return False


def _go_on_as_child() -> None:
    child = os.fork()
    if child == 0:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    os.closerange(0, 256)  # or pipes would stay open here after the child has ended
    while True:
        ended, status = os.wait()
        if ended == child:
            _kill_strays()
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _kill_strays() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while True:
        try:
            left = children.read_text().split()
        except OSError:  # the first process inside, under the old /proc: its end is theirs
            return
        for pid in left:
            os.kill(int(pid), signal.SIGKILL)  # a child, so at least a zombie
        try:
            os.wait()
        except ChildProcessError:
            return
