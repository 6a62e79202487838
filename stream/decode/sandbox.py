"""What a decoder's child may still do once it is up: read files, write its spools, nothing else.

A codec that a file has taken over finds no secret in its environment, opens no socket and starts
no program. Serves `stream.decode.child`. Each part is left out where the platform lacks it.
"""

import ctypes
import os
import platform
import sys
from pathlib import Path

KEPT_VARIABLES = frozenset({"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "PYTHONPATH"})

# Numbers of the kernel's interfaces: seccomp(2), landlock(7).
SET_NO_NEW_PRIVILEGES = 38
FILTER, ALL_THREADS = 1, 1
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 13  # EACCES
# Calls of the x32 interface have this bit: the same calls by other numbers, so all are refused.
OTHER_CALLS = 0x40000000
# AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 of linux/audit.h; call numbers differ between them.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP = {"x86_64": 317, "aarch64": 277}  # the number of the call itself
REFUSED_CALLS = {
    # socket, connect, execve, ptrace, process_vm_readv, process_vm_writev, execveat
    "x86_64": (41, 42, 59, 101, 310, 311, 322),
    "aarch64": (198, 203, 221, 117, 270, 271, 281),
}
REFUSED_EVERYWHERE = (425, 438)  # io_uring_setup, pidfd_getfd
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH
WRITE_FILE = 1 << 1  # LANDLOCK_ACCESS_FS_WRITE_FILE: a spool exists already, so none may be made
CHANGES = sum(1 << bit for bit in (1, *range(4, 13)))  # write, remove, make


class _Instruction(ctypes.Structure):
    _fields_ = [
        ("code", ctypes.c_ushort),
        ("if_true", ctypes.c_ubyte),
        ("if_false", ctypes.c_ubyte),
        ("value", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("start", ctypes.POINTER(_Instruction))]


class _Ruleset(ctypes.Structure):
    _fields_ = [("handled", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def enter_sandbox(spool_folder: Path) -> None:
    """Give up what decoding doesn't need.

    Args:
        spool_folder: where files may still be written.
    """
    # First, and on every platform: the parts below may be missing, secrets must go all the same.
    forget_environment()
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # Without this, an unprivileged process may install neither Landlock rules nor a filter.
    if libc.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return
    _write_nowhere_but(libc, spool_folder)
    _refuse_calls(libc, platform.machine())


def forget_environment() -> None:
    """Remove every variable that isn't known to be harmless, from the kernel's copy too."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT_VARIABLES}
    os.environ.clear()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[47]), int(fields[48])
        if 0 < start < end:
            # Clearing only unlinks the variables: their bytes stay where the kernel put them at the
            # start and are read through /proc/PID/environ. Nothing points there any more by now.
            ctypes.memset(start, 0, end - start)
    except (OSError, IndexError, ValueError):
        pass
    os.environ.update(kept)


def _write_nowhere_but(libc: ctypes.CDLL, folder: Path) -> None:
    """Change no other file, and look into no process outside (Landlock, Linux 5.13 on)."""
    rules = _Ruleset(CHANGES)
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    if ruleset < 0:
        return
    try:
        handle = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            rule = _Beneath(WRITE_FILE, handle)
            if libc.syscall(ADD_RULE, ruleset, BENEATH, ctypes.byref(rule), 0) == 0:
                libc.syscall(RESTRICT_SELF, ruleset, 0)
        finally:
            os.close(handle)
    except OSError:
        return
    finally:
        os.close(ruleset)


def _refuse_calls(libc: ctypes.CDLL, machine: str) -> None:
    """No socket, no other program, no look into another process, in all threads (seccomp)."""
    if machine not in ARCHITECTURES:
        return
    refused = REFUSED_CALLS[machine] + REFUSED_EVERYWHERE
    # Number of the call and architecture are the first two words of what a filter sees.
    steps = [
        (LOAD, 0, 0, 4),
        # The architecture first: a number names another call on another one.
        (EQUAL, 0, len(refused) + 3, ARCHITECTURES[machine]),
        (LOAD, 0, 0, 0),
        (AT_LEAST, len(refused) + 1, 0, OTHER_CALLS),
        *((EQUAL, len(refused) - place, 0, call) for place, call in enumerate(refused)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    program = _Program(len(steps), instructions)
    libc.syscall(SECCOMP[machine], FILTER, ALL_THREADS, ctypes.byref(program))
