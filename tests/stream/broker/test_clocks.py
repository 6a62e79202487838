"""No way into Kafka waits by a wall clock that was set back meanwhile."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream.broker.settings import KafkaSettings
from tests.stream.broker.test_patience import DAY_SECONDS, ROOT, false_clock

PATIENT_SECONDS, ENOUGH_SECONDS = 3, 120
# What commands and the console do with clients.
WAYS = {
    "reads all": "list(Reader(kafka, 'video.decided').until_now())",
    "reads from now": "Reader(kafka, 'video.decided', from_beginning=False).poll(0.5)",
    "reads since": "list(Reader(kafka, 'video.decided', since_ms=1).until_now())",
    "leaves": "exec('with Reader(kafka, \\'video.decided\\'): pass')",
    "ends": "ends_of(kafka, 'video.decided')",
    "sends": "send(kafka, 'video.decided', [(b'k', b'{}', [])])",
    "one message": "MessageAt(kafka).read('video.decided', 0, 0)",
    "the console's ends": "MessageAt(kafka).ends('video.decided')",
    "the log": "exec('with LibraryLog(kafka) as log: list(log.read(0, log.ends()[1]))')",
    "what is answered": "LibraryLog(kafka).answered(0, 1)",
    "says what is answered": "LibraryLog(kafka).set_answered(0, 1, 0)",
    "lags": "GroupLags(kafka, 1).now()",
    "a vector": "embedded_at(kafka, [Place(0, 0)])",
    "whether it answers": "answers(kafka, 1.0)",
    "topics": "check_topics(kafka)",
    "makes topics": "create_topics(kafka)",
}
# Each way in a process of its own, all of them copies of one that has imported everything.
RUN = f"""
import json, os, signal, sys
from pathlib import Path
from stream.agents.vector_messages import embedded_at
from stream.broker import clients, patience, sender
from stream.broker.client import Reader, ends_of, send
from stream.broker.clients import answers
from stream.broker.group_lags import GroupLags
from stream.broker.library_log import LibraryLog
from stream.broker.message_at import MessageAt
from stream.broker.settings import KafkaSettings
from stream.broker.topics import check_topics, create_topics
from stream.errors import BrokerError
from stream.search.table import Place

patience.PATIENT_SECONDS, sender.DELIVERED_SECONDS = {PATIENT_SECONDS}.0, {PATIENT_SECONDS}.0
kafka = KafkaSettings.model_validate_json(sys.argv[1])
files = dict()
for way in sys.argv[3:]:
    file = Path(sys.argv[2], str(len(files)))
    pid = os.fork()
    if pid == 0:
        signal.alarm({ENOUGH_SECONDS})
        try:
            eval(way)
            file.write_text("done")
        except BrokerError as error:
            file.write_text(str(error))
        sys.exit()
    files[pid] = file
ended = dict(os.wait() for _ in files)
said = [file.read_text() if ended[pid] == 0 else ended[pid] for pid, file in files.items()]
print(json.dumps(said))
"""


def calls(path: Path) -> Iterator[tuple[str, list[str]]]:
    """What is called in a file, and with what."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), [ast.unparse(each) for each in node.args]


def test_clients_are_made_in_one_place_and_nobody_waits_for_a_message_by_them() -> None:
    made = {name for name, _ in calls(ROOT / "stream/broker/clients.py")}
    assert {"patient(_Consumer)", "patient(_Producer)", "patient(_AdminClient)"} <= made
    for path in (ROOT / "stream").rglob("*.py"):
        found = list(calls(path))
        assert not {"Consumer", "Producer", "AdminClient"} & {name for name, _ in found} or (
            "confluent_kafka" not in path.read_text()
        ), path
        if path.parent.name == "broker":
            assert {str(given) for name, given in found if name.endswith(".poll")} <= {"['0']"}
            assert not [name for name, _ in found if name.endswith((".consume", ".flush"))], path


@pytest.fixture(scope="module")
def said(
    kafka: KafkaSettings, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, bool], str]:
    """What each way told in the end, with a Kafka and without, all tried side by side.

    What their clients read is a day ahead of the clock by which the kernel wakes them.
    """
    environment = false_clock(tmp_path_factory.mktemp("clock"), DAY_SECONDS)

    def tried(there: bool) -> dict[tuple[str, bool], str]:
        asked = kafka if there else KafkaSettings(bootstrap_servers="127.0.0.1:9")
        folder = tmp_path_factory.mktemp("said")
        done = subprocess.run(
            [sys.executable, "-c", RUN, asked.model_dump_json(), str(folder), *WAYS.values()],
            env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        # What still waited was ended by a signal, which is a number here.
        told = (
            f"{text}: {done.stderr}" if isinstance(text, int) else text
            for text in json.loads(done.stdout)
        )
        return dict(zip(((way, there) for way in WAYS), told, strict=True))

    with ThreadPoolExecutor(2) as pool:
        there, without = pool.map(tried, (True, False))
    return there | without


@pytest.mark.parametrize("way", WAYS)
def test_no_way_in_waits_until_the_clock_has_come_to_where_it_was(
    way: str, said: dict[tuple[str, bool], str]
) -> None:
    gives_up = ("the machine's clock is set back: start again", "no answer for 10 s")
    assert said[way, True] == "done" or said[way, True].endswith(gives_up)
    answers_none = ("whether it answers", "a vector")
    without = said[way, False]
    assert without.endswith(gives_up) or (without == "done" and way in answers_none)
