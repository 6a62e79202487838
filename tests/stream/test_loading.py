"""A process that reads settings loads no networks' libraries, and doesn't sift what it loads."""

import gc
import subprocess
import sys

from stream.loading import loading

HEAVY = {"onnxruntime", "PIL", "tokenizers", "av", "faiss", "torch"}
CYCLE = """
class Kept:
    def __del__(self):
        print("looked")

kept = Kept()
kept.itself = kept
del kept
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


def test_garbage_is_looked_for_behind_a_load_as_before_it() -> None:
    with loading():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_load_leaves_the_collector_off_where_it_was_off() -> None:
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_a_process_has_when_it_has_started_is_looked_through_no_more() -> None:
    looked = "import gc; gc.collect(); print(len(gc.get_objects()) < 100)"
    settle = "from stream.loading import settled; settled()"
    assert run(f"import stream.settings\n{settle}\n{looked}") == "True"


def test_what_a_process_has_at_its_end_is_left_to_the_system() -> None:
    off = "import gc; gc.disable()"
    assert run(f"{off}\n{CYCLE}") == "looked"
    ended = "from stream.loading import end_without_a_look; end_without_a_look()"
    assert run(f"{off}\n{ended}\n{CYCLE}") == ""


def test_the_command_loads_no_library_of_networks_before_it_needs_one() -> None:
    loaded = f"import sys, stream.cli.app; print(sorted({HEAVY!r} & sys.modules.keys()))"
    assert run(loaded) == "[]"
