"""Named points where a process can be made to die, to see what survives it.

`FAILPOINT=library.after_append=3` in the environment kills the process by SIGKILL when it passes
that point for the third time; without a number, for the first. No setting, so that no settings
file of a service can arm it.
"""

import os
import signal
from itertools import count
from typing import Literal, get_args

from stream.errors import SettingsError

VARIABLE = "FAILPOINT"

Failpoint = Literal[
    "library.after_search",
    "library.after_append",
    "library.before_produce",
    "library.after_produce",
    "library.after_restate",
    "library.merging",
    "snapshot.writing",
    "snapshot.before_rename",
    "snapshot.after_rename",
    "fingerprint.before_produce",
    "fingerprint.between",
    "fingerprint.after_produce",
    "decide.before_pending",
    "decide.before_produce",
    "decide.after_produce",
    "decide.after_state",
]
FAILPOINTS: tuple[Failpoint, ...] = get_args(Failpoint)


def parse_failpoint(text: str) -> tuple[str, int]:
    """The point and the passing, from 1, of `name` or `name=passing`.

    Raises:
        SettingsError: no such point, or a passing that is no number from 1.
    """
    name, _, passing = text.partition("=")
    if name not in FAILPOINTS:
        raise SettingsError(
            f"{VARIABLE}={text}: no point {name!r}; there are {', '.join(FAILPOINTS)}"
        )
    if "=" in text and not (passing.isdecimal() and int(passing) >= 1):
        raise SettingsError(f"{VARIABLE}={text}: expected the number of a passing from 1")
    return name, int(passing or 1)


_armed, _passing = parse_failpoint(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else ("", 0)
_passings = count(1)


def failpoint(name: Failpoint) -> None:
    """Die here, with no chance to tidy up, if the environment says so; else do nothing."""
    if name == _armed and next(_passings) == _passing:
        os.kill(os.getpid(), signal.SIGKILL)
