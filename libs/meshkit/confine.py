"""A process that is about to run code of users goes into namespaces of its own.

Inside there are no processes but its own, no network, and a ``/proc`` that shows nobody else's
environment. Whatever it starts, however it detaches itself, ends with it.
"""

import ctypes
import os
import resource
import signal

_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8
_MS_REC_PRIVATE = 0x4000 | 1 << 18


def enter() -> bool:
    """Go on as a grandchild inside new namespaces; False where the kernel refuses them.

    Call it before anything starts a thread. The two processes that stay behind, one outside and the
    first one inside, wait and then exit as the one that went on: with its code, or 128 + n for
    signal n. SIGTERM to the outer one kills everything inside.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not _unshare():
        return False
    _go_on_as_child()
    _mount_own_proc()
    _go_on_as_child()  # the first process of a namespace is deaf to signals: be the second
    return True


def _unshare() -> bool:
    """Leave the namespaces; with one of users first, which takes root's powers away."""
    apart = os.CLONE_NEWPID | os.CLONE_NEWNET | os.CLONE_NEWNS | os.CLONE_NEWIPC
    for flags in (os.CLONE_NEWUSER | apart, apart):
        try:
            os.unshare(flags)
        except OSError:
            continue
        return True
    return False


def _go_on_as_child() -> None:
    child = os.fork()
    if child == 0:
        return
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    os.closerange(0, 256)  # or pipes would stay open here after the child has ended
    while True:
        ended, status = os.wait()  # strays of user code too: the first process inherits them
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _mount_own_proc() -> None:
    """Show only the processes inside. Where it is refused, as in some containers, the old one
    stays.
    """
    libc = ctypes.CDLL(None)
    libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None)
    libc.mount(b"proc", b"/proc", b"proc", _MS_NOSUID_NODEV_NOEXEC, None)
