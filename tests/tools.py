"""Programs of the system that some tests drive: a browser, a database server, promtool.

Where one isn't installed, these tests are skipped, and the reason says what to install; with
`TEST_TOOLS=required`, as CI sets it, they fail.
"""

import os
from typing import NoReturn

import pytest


def not_installed(package: str) -> NoReturn:
    """End a test that can't run here.

    Args:
        package: Debian's, whose programs the test starts.
    """
    text = f"no {package} on this machine: apt-get install {package}"
    if os.environ.get("TEST_TOOLS") == "required":
        pytest.fail(text)
    pytest.skip(text)
