"""`samesource search`: what it prints, what it says about doubtful questions, what it draws."""

import base64
import io
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.text_video.serve import PairFiles
from stream.admin.takedown import take_down
from stream.agents import search_view
from stream.broker.client import send
from stream.broker.embedded import EmbeddedBroker
from stream.broker.settings import KafkaSettings
from stream.contract.embedded import Moments, packed_moments
from stream.contract.events import VideoEmbedded
from stream.contract.schemas import FOLDER
from stream.contract.topics import load_topics
from tests.stream.cli.test_commands import one_line
from tests.stream.command import Command, publish
from tests.stream.text_video_pair import DIMENSION, VERSION, make_pair

TOPICS = ("video.embedded", "video.fingerprinted", "video.uploaded")  # for takedowns
DOCUMENT = FOLDER.parent / "docs" / "contract.md"
pytestmark = pytest.mark.usefixtures("settled")
COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pair: Path) -> Path:
    """An environment with a pair and a folder for snapshots."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMESOURCE_TEXT_VIDEO__PATH", str(pair))
    monkeypatch.setenv("SAMESOURCE_SEARCH__SNAPSHOT_FOLDER", str(tmp_path / "view"))
    return tmp_path


def jpeg(colour: tuple[int, int, int]) -> str:
    file = io.BytesIO()
    Image.new("RGB", (171, 96), colour).save(file, "JPEG")
    return base64.b64encode(file.getvalue()).decode()


def embedded(video_id: str, colour: tuple[int, int, int], **fields: Any) -> VideoEmbedded:
    vector = np.array([*colour, 0.1]) / np.linalg.norm([*colour, 0.1])
    shown = jpeg((220 * colour[0], 220 * colour[1], 220 * colour[2]))
    return VideoEmbedded.from_json(
        {
            "video_id": video_id,
            "content_version": 1,
            "model_version": VERSION,
            "dimension": DIMENSION,
            "vector": vector.tolist(),
            "duration_seconds": 67.4,
            "thumbnails": [shown] * 3,
        }
        | fields
    )


def test_where_a_moment_shows_it_is_said(command: Command, kafka: KafkaSettings) -> None:
    green = np.array([[0, 1, 0, 0.1]], np.float32) / np.linalg.norm([0, 1, 0, 0.1])
    seconds, vectors = packed_moments(Moments(np.array([61.5], np.float32), green))
    publish(
        kafka,
        embedded("red, then green", (1, 0, 0), moment_seconds=seconds, moment_vectors=vectors),
        embedded("blue", (0, 0, 1)),
    )
    found = json.loads(command("search", "green", "--json").out)["hits"]
    assert [hit["video_id"] for hit in found] == ["red, then green", "blue"]
    assert [hit["moment_seconds"] for hit in found] == [61.5, None]
    assert "1:02" in command("search", "green").out


def colours(**fields: Any) -> list[VideoEmbedded]:
    return [embedded(name, colour, **fields) for name, colour in COLOURS.items()]


def test_the_nearest_videos_are_a_table(command: Command, kafka: KafkaSettings) -> None:
    publish(kafka, *colours(), embedded("[b]red[/b] \x1b[1m", (1, 0, 0), duration_seconds=3723.0))
    done = command("search", "red", "-k", "3")
    assert (done.code, done.err) == (0, "")
    head, _, *lines = [line.split() for line in done.out.splitlines() if line.strip()]
    assert head == ["rank", "video", "similarity", "duration", "at"]
    assert lines[2] == ["3", "yellow", "0.709", "1:07"]
    assert sorted(line[1] for line in lines[:2]) == ["[b]red[/b]", "red"]
    assert "1:02:03" in done.out and "\x1b[1m" not in done.out


@pytest.mark.parametrize(
    ("query", "first"), [("绿", "green"), ("BLUE", "blue"), ("红 绿", "yellow")]
)
def test_both_languages_find_the_same(
    command: Command, kafka: KafkaSettings, query: str, first: str
) -> None:
    publish(kafka, *colours())
    found = json.loads(command("search", query, "--json").out)
    assert found["hits"][0]["video_id"] == first
    assert (found["query"], found["model_version"], found["videos"]) == (query, VERSION, 4)
    assert [hit["rank"] for hit in found["hits"]] == [1, 2, 3, 4]
    similarities = [hit["similarity"] for hit in found["hits"]]
    assert similarities == sorted(similarities, reverse=True)


def test_the_sheet_shows_the_pictures_in_order(command: Command, kafka: KafkaSettings) -> None:
    publish(kafka, *colours())
    done = command("search", "red", "--sheet", "found/sheet.png")
    assert (done.code, done.err) == (0, "contact sheet: found/sheet.png\n")
    drawn = Image.open("found/sheet.png")
    assert drawn.getpixel((80, 110)) == pytest.approx((220, 0, 0), abs=10)
    assert drawn.getpixel((580, 110)) == pytest.approx((220, 220, 0), abs=10)


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_an_error(command: Command, query: str) -> None:
    done = command("search", query)
    assert done.code == 1
    one_line(done.err, "the query is empty")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("red " * 2500, "2500 tokens; text-video-0000c010 reads the first 16"),
        (
            "สวัสดี ครับ",
            "knows none of the query's words: misspelt ones may be guessed",
        ),
    ],
)
def test_a_doubtful_query_is_answered_with_a_warning(
    command: Command, kafka: KafkaSettings, query: str, words: str
) -> None:
    publish(kafka, *colours())
    done = command("search", query, "-k", "1")
    assert done.code == 0
    assert done.err.startswith("warning: ") and words in done.err and done.err.count("\n") == 1
    assert done.out.count("1:07") == 1


def test_vectors_of_other_models_are_left_out_and_counted(
    command: Command, kafka: KafkaSettings
) -> None:
    publish(kafka, *colours(), embedded("x", (1, 0, 0), model_version="old"))
    done = command("search", "red", "--json")
    found = json.loads(done.out)
    assert found["left_out"] == {"old": 1}
    assert "x" not in [hit["video_id"] for hit in found["hits"]]
    assert "warning: 1 video embedded by old left out" in done.err
    assert len(done.err.splitlines()) == 1, "once, and not in the log too"


def test_no_vectors_at_all_is_an_error(command: Command, kafka: KafkaSettings) -> None:
    done = command("search", "red")
    assert (done.code, done.out) == (1, "")
    one_line(done.err, "no vector of text-video-0000c010")
    publish(kafka, embedded("x", (1, 0, 0), model_version="old"))
    done = command("search", "red")
    assert done.code == 1
    assert "1 video embedded by old left out" in done.err


def test_no_broker_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], settled: Path
) -> None:
    monkeypatch.setattr("stream.broker.topics.ANSWER_SECONDS", 0.5)
    command = Command(monkeypatch, capfd)
    command.on(KafkaSettings(bootstrap_servers="127.0.0.1:9"))
    done = command("search", "red")
    assert done.code == 1
    one_line(done.err, "no Kafka answers at 127.0.0.1:9")


def test_a_pair_that_is_not_there_is_an_error(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAMESOURCE_TEXT_VIDEO__PATH", str(tmp_path / "nowhere"))
    done = command("search", "red")
    assert done.code == 1
    one_line(done.err, "nowhere")


def test_without_any_pair_the_answer_is_one_line(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SAMESOURCE_TEXT_VIDEO__PATH")
    monkeypatch.setattr(
        "stream.fingerprint.embed.default_pair_files", lambda: PairFiles.of(tmp_path)
    )
    done = command("search", "red")
    assert done.code == 1
    one_line(done.err, "no text–video pair is shipped")


@pytest.mark.parametrize("k", ["0", "1001", "many"])
def test_an_impossible_number_is_refused(command: Command, k: str) -> None:
    assert command("search", "red", "-k", k).code == 2


def test_what_is_no_embedding_is_passed_over(
    command: Command, kafka: KafkaSettings, caplog: pytest.LogCaptureFixture
) -> None:
    send(kafka, VideoEmbedded.topic, [(b"x", b"{}", []), (None, b"words", [])])
    publish(kafka, *colours())
    done = command("search", "red", "--json")
    assert done.code == 0 and json.loads(done.out)["videos"] == 4
    assert caplog.text.count("is passed over") == 2


def test_a_snapshot_saves_reading_again_and_a_takedown_is_honoured_at_once(
    command: Command, kafka: KafkaSettings, settled: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("SAMESOURCE_SEARCH__SNAPSHOT_EVERY_VIDEOS", "3")
    taken: list[str] = []
    step = search_view.search_step

    def noted(view: Any, source: Any) -> None:
        taken.append(source.key.decode())
        step(view, source)

    monkeypatch.setattr(search_view, "search_step", noted)
    publish(kafka, *colours())
    command("search", "red")
    assert sorted(taken) == sorted(COLOURS)
    assert len([path for path in (settled / "view").iterdir() if path.is_dir()]) == 1
    taken.clear()
    take_down(kafka, ["red"])
    found = json.loads(command("search", "red", "--json").out)
    assert taken == ["red"]
    assert [hit["video_id"] for hit in found["hits"]][0] == "yellow" and found["videos"] == 3
    for damaged in (settled / "view").glob("*/codes.npy"):
        damaged.write_bytes(b"")
    done = command("search", "red", "--json")
    assert json.loads(done.out)["hits"] == found["hits"]
    assert "snapshot passed over" in caplog.text


def test_the_consumer_of_the_contract_reads_the_vectors(kafka: KafkaSettings) -> None:
    """It runs as it stands in the document, until it has read every message."""
    text = DOCUMENT.read_text()
    section = text.partition("### `video.embedded`")[2]
    [code] = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[:1]
    written = [line for line in code.splitlines() if line]
    assert len(written) <= 15 and "stream" not in code
    publish(kafka, *colours(), embedded("gone", (1, 0, 0)))
    publish(kafka, embedded("red", (0, 0, 1)), embedded("x", (1, 0, 0), model_version="old"))
    publish(kafka, embedded("green", (0, 1, 0), content_version=3))
    publish(kafka, embedded("green", (0, 0, 1), content_version=2))  # late
    publish(kafka, embedded("yellow", (1, 1, 0), content_version="b"))
    take_down(kafka, ["gone", "blue"])
    publish(kafka, embedded("blue", (0, 0, 1), content_version=0))  # a new video since
    code = code.replace('"video.embedded"', repr(kafka.topic("video.embedded")))
    code = code.replace("text-video-1a2b3c4d", VERSION)
    code += textwrap.dedent(
        f"""
        import asyncio
        loads, read = json.loads, []
        json.loads = lambda value: read.append(value) or loads(value)

        async def until_all_are_read():
            task = asyncio.create_task(follow({kafka.bootstrap_servers!r}))
            while len(read) < {len(COLOURS) + 9} and not task.done():
                await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(until_all_are_read())
        blue = np.array([0, 0, 1, 0.1], np.float32)
        print(json.dumps({{name: round(float(vectors[name] @ blue), 2) for name in vectors}}))
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    near = json.loads(done.stdout.splitlines()[-1])
    assert near.keys() == COLOURS.keys()
    assert near["red"] == near["blue"] > 0.9 > near["green"]


def test_a_topic_that_ends_before_the_snapshot_is_read_from_its_start(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], settled: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setenv("SAMESOURCE_SEARCH__SNAPSHOT_EVERY_VIDEOS", "1")
    command = Command(monkeypatch, capfd)
    needed = [topic for topic in load_topics() if topic.name == "video.embedded"]
    for events in (colours(), [embedded("only", (1, 0, 0))]):
        with EmbeddedBroker(topics=needed) as broker:
            kafka = KafkaSettings(broker="embedded", bootstrap_servers=broker.bootstrap_servers)
            command.on(kafka)
            publish(kafka, *events)
            found = json.loads(command("search", "red", "--json").out)
            assert found["videos"] == len(events)
    assert "is foreign" in caplog.text or "is shorter than the snapshot" in caplog.text


@pytest.mark.parametrize("folder", ["/proc/none", "file", "file/below"])
def test_a_folder_that_cant_keep_the_view_is_one_line(
    command: Command,
    kafka: KafkaSettings,
    monkeypatch: pytest.MonkeyPatch,
    settled: Path,
    folder: str,
) -> None:
    (settled / "file").touch()
    monkeypatch.setenv("SAMESOURCE_SEARCH__SNAPSHOT_FOLDER", folder)
    publish(kafka, *colours())
    done = command("search", "red")
    assert (done.code, done.out) == (1, "")
    one_line(done.err, f"search.snapshot_folder = {folder}", "SAMESOURCE_SEARCH__SNAPSHOT_FOLDER")
