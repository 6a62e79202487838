"""What tests need of the machine: programs, rights, a kind of processor. Which may be left out.

Where something is missing, the tests that need it are skipped, and the reason says what. With
`TEST_TOOLS=required`, as CI sets it, a skip fails, unless its reason is one of `RIGHT_TO_SKIP`.
"""

import os
import re
from collections.abc import Mapping
from typing import NoReturn

import pytest

RIGHT_TO_SKIP: Mapping[str, str] = {
    r".+ is here|there is a GPU( here)?": "it is about a machine without",
    r"another C library has other habits": "what it bounds is glibc's",
    r"Linux has the means": "elsewhere the service promises less",
    r"sums of eight-bit products overflow on this processor": "so no such network runs on it",
    r"root may read everything": "no file can be refused to root",
    r"no right to .+": "a container may have none, and no package brings it; the summary tells",
    r"no memory groups of the first version": "newer kernels have another, and it takes one to see",
}
"""Patterns of whole reasons, and why it is right that CI is green without."""


def not_installed(package: str) -> NoReturn:
    """End a test that can't run here.

    Args:
        package: Debian's, whose programs the test starts.
    """
    pytest.skip(f"no {package} on this machine: apt-get install {package}")


def judged(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Let a skip fail where all must be there, unless its reason is right."""
    if not report.skipped or hasattr(report, "wasxfail") or not isinstance(report.longrepr, tuple):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if os.environ.get("TEST_TOOLS") == "required" and not any(
        re.fullmatch(pattern, reason) for pattern in RIGHT_TO_SKIP
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped with TEST_TOOLS=required: {reason}"
