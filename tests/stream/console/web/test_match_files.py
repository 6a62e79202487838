"""Asking whether a file would match: workers can fetch it for the question, then it is gone."""

import asyncio
import io
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import av
import boto3  # type: ignore[import-untyped]
import fsspec
import httpx2
import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from PIL import Image
from starlette.datastructures import Headers
from starlette.types import Message

from stream.console.web.file_form import FileForm
from stream.console.web.match_store import AT_ONCE, OURS, MatchStore
from stream.console.web.media import Videos
from stream.console.web.problems import Problem
from stream.contract.events import ProbeAnswered, ProbeAsked
from stream.errors import CorruptError, SettingsError
from stream.fetch.local import path_of
from stream.fetch.settings import FetchSettings
from tests.stream.console.web.site import Site, running_site
from tests.stream.console.web.test_matches import FOUND, all_of, answering
from tests.stream.service import make_film, running_service, service_settings, upload

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATH = "/api/v1/matches"
CLIP = bytes(range(256)) * 1000


async def test_the_segments_of_a_real_clip_are_found(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4")
    async with running_site(tmp_path) as site:
        settings = service_settings(site.settings.kafka, tmp_path)
        async with running_service(settings) as platform:
            await platform.submit(upload(film, "film", role="reference"))
            await platform.read_until(platform.has_decided("film"))
            machine, browser = await site.machine("reviewer"), await site.browser("reviewer")
            fields = {"timeout_seconds": "60"}
            files = {"file": ("a.mp4", film.read_bytes())}
            answer = await machine.post(PATH, data=fields, files=files)
            page = await browser.send_file("/match", film.read_bytes())
        assert answer.status_code == 200, answer.text
        [match] = answer.json()["matches"]
        [span] = match["segments"]
        assert match["reference_id"] == "film"
        assert span["video_start_seconds"] < 1 and span["video_end_seconds"] > 19
        assert page.status_code == 200 and "film" in page.text and "0:00.0–" in page.text
        assert site.asked == []


async def test_a_frame_of_a_stored_film_is_found_as_a_picture(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4")
    with av.open(str(film)) as container:
        shown = [each.to_ndarray(format="rgb24") for each in container.decode(video=0)]
    async with running_site(tmp_path) as site:
        settings = service_settings(site.settings.kafka, tmp_path)
        async with running_service(settings) as platform:
            await platform.submit(upload(film, "film", role="reference"))
            await platform.read_until(platform.has_decided("film"))
            browser = await site.browser("reviewer")
            for kind in ("JPEG", "PNG", "WEBP"):
                page = await browser.send_file("/match", picture(Image.fromarray(shown[7]), kind))
                assert page.status_code == 200, page.text
                assert "/library/entry?video=film" in page.text, kind
                assert "shown within 0:07.0–0:08.0" in page.text, (kind, page.text)
                assert 'href="/library"' in page.text and "0:00.0–" not in page.text
            lines = np.full((120, 160, 3), 255, np.uint8)
            lines[::10] = lines[:, ::10] = 0
            page = await browser.send_file("/match", picture(Image.fromarray(lines), "PNG"))
            assert "Nothing matches." in page.text and 'href="/library"' in page.text
        assert site.asked == []


def picture(image: Image.Image, kind: str) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


async def test_a_file_is_there_for_the_question_and_gone_behind_it(site: Site) -> None:
    machine = await site.machine("reviewer")
    seen: list[tuple[str | None, bytes]] = []

    def look(asked: ProbeAsked) -> list[ProbeAnswered]:
        seen.append((asked.owner_id, path_of(asked.uri).read_bytes()))
        return all_of(FOUND)(asked)

    body = form("file", CLIP) + form("owner_id", b"channel") + b"--x--\r\n"
    async with answering(site, look):
        answer = await machine.post(PATH, content=body, headers=FORM)
    assert answer.status_code == 200, answer.text
    assert seen == [("channel", CLIP)] and site.asked == []


async def test_nothing_is_left_when_nobody_waits_any_more(site: Site) -> None:
    machine = await site.machine("reviewer")
    asking = asyncio.create_task(machine.post(PATH, files={"file": CLIP}))
    async with asyncio.timeout(10):
        while [each.stat().st_size for each in site.asked] != [len(CLIP)]:
            await asyncio.sleep(0.02)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled() and site.asked == []


async def test_a_stop_leaves_no_file(tmp_path: Path) -> None:
    async with running_site(tmp_path) as site:
        headers = dict((await site.machine("reviewer")).headers)
        async with httpx2.AsyncClient(base_url=site.worker.url, headers=headers) as machine:
            asking = asyncio.create_task(machine.post(PATH, files={"file": CLIP}))
            async with asyncio.timeout(10):
                while not site.asked:
                    await asyncio.sleep(0.02)
            await site.worker.stop()
            await asyncio.wait([asking])
        assert site.asked == []


@hypothesis.given(
    file=st.lists(st.sampled_from([b"\r\n", b"--x", b"--x--", b"\n", b"a", b"b" * 70_000])).map(
        b"".join
    ),
    size=st.sampled_from([1, 7, 60_000]),
)
@hypothesis.settings(deadline=None, max_examples=60)
async def test_a_file_is_the_same_however_its_body_comes(file: bytes, size: int) -> None:
    hypothesis.assume(b"\r\n--x" not in b"\r\n" + file)
    hypothesis.assume(size > 1 or len(file) < 100_000)
    body = form("a", b"1") + form("file", file) + form("b", b"2") + b"--x--\r\n"
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False

    async def receive() -> Message:
        return messages.pop(0)

    read = FileForm(Headers(FORM), receive, max_bytes=len(file))
    await read.to_file()
    assert read.fields == {"a": ["1"]}
    assert b"".join([chunk async for chunk in read.chunks()]) == file
    assert read.fields == {"a": ["1"], "b": ["2"]}


async def test_a_file_that_is_cut_off_is_no_question(site: Site) -> None:
    machine = await site.machine("reviewer")
    for body in (form("file", CLIP)[:-9], form("file", CLIP), b"", b"--x\r\n", b"no form"):
        answer = await machine.post(PATH, content=body, headers=FORM)
        assert (answer.status_code, site.asked) == (400, []), body[-20:]


async def test_a_form_that_asks_nothing_is_refused(site: Site) -> None:
    machine = await site.machine("reviewer")
    one, end = form("file", CLIP), b"--x--\r\n"
    wrong = form("timeout_seconds", b"3600") + one + end
    for body in (form("file", b"") + end, form("owner_id", b"o") + end, one + one + end, wrong,
                 one + form("video_id", b"v") + end):  # fmt: skip
        answer = await machine.post(PATH, content=body, headers=FORM)
        assert (answer.status_code, site.asked) == (422, []), answer.text
    assert (await (await site.browser()).send_file("/match", b"")).status_code == 422
    fields = form("owner_id", b"o" * 2**20) + one + end
    assert (await machine.post(PATH, content=fields, headers=FORM)).status_code == 413


async def test_a_file_that_is_too_large_is_not_kept(tmp_path: Path) -> None:
    body = form("file", CLIP + b"x") + b"--x--\r\n"

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    async with running_site(tmp_path, fetch={"max_bytes": len(CLIP)}) as site:
        machine = await site.machine("reviewer")
        # Announced rightly, not at all, as less than comes, and as more than may come.
        for headers in ({}, {"Content-Length": "9"}, {"Content-Length": str(2**40)}):
            answer = await machine.post(PATH, content=parts(), headers=FORM | headers)
            assert answer.status_code == 413 and "fetch.max_bytes" in answer.json()["detail"]
            assert answer.headers["content-type"] == "application/problem+json"
        page = await (await site.browser()).send_file("/match", CLIP + b"x")
        assert page.status_code == 413 and "fetch.max_bytes" in page.text
        assert site.asked == []
        files = {"file": CLIP}
        answer = await machine.post(PATH, files=files, data={"timeout_seconds": "1"})
        assert answer.status_code == 504, "so much may come"


async def test_a_file_that_comes_too_slowly_is_not_waited_for(tmp_path: Path) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield form("file", CLIP)[:2000]
        await asyncio.sleep(60)

    async with running_site(tmp_path, fetch={"timeout_seconds": 0.3}) as site:
        machine = await site.machine("reviewer")
        answer = await machine.post(PATH, content=stalled(), headers=FORM)
        assert (answer.status_code, site.asked) == (408, [])


async def test_without_a_store_files_are_refused(tmp_path: Path) -> None:
    async with running_site(tmp_path, match_store=None) as site:
        machine, browser = await site.machine("reviewer"), await site.browser("reviewer")
        answer = await machine.post(PATH, files={"file": CLIP})
        assert answer.status_code == 422 and "console.match_store" in answer.json()["detail"]
        for path in ("/match", "/library"):
            assert 'type="file"' not in (await browser.get(path)).text
        for path in ("/match", "/library/like"):
            assert (await browser.send_file(path, CLIP)).status_code == 422


@pytest.mark.parametrize("path", ["/match", "/library"])
async def test_pages_take_files_of_reviewers_in_both_languages(site: Site, path: str) -> None:
    browser = await site.browser("reviewer")
    text = (await browser.get(path)).text
    assert 'type="file"' in text and "Would the file match?" in text
    forms = [each.partition("</form>")[0] for each in text.split('method="post" action="')]
    takers = [each.partition('"')[0] for each in forms if 'type="file"' in each]
    assert takers == (["/library/like", "/match"] if path == "/library" else ["/match"])
    chinese = await browser.client.get(path, headers={"Accept-Language": "zh"})
    assert "该文件是否会匹配？" in chinese.text
    viewer = await site.browser("viewer")
    assert 'type="file"' not in (await viewer.get(path)).text
    assert (await viewer.send_file("/match", CLIP)).status_code == 403


async def test_the_copy_of_a_file_in_a_bucket_is_deleted_with_it(
    site: Site, bucket: FetchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos, looked_at = Videos(bucket, 2**20), list[Path]()
    monkeypatch.setattr(site.console, "match_store", MatchStore("s3://asked/folder", bucket))
    monkeypatch.setattr(site.console, "videos", videos)

    async def vector(path: Path) -> None:
        assert path.read_bytes() == CLIP
        looked_at.append(path)
        raise CorruptError("no clip")

    monkeypatch.setattr(site.console.pictures, "vector", vector)
    answer = await (await site.browser("reviewer")).send_file("/library/like", CLIP)
    assert answer.status_code == 422 and "no clip" in answer.text
    assert [each.exists() for each in looked_at] == [False]
    videos.close()


@pytest.mark.parametrize(
    ("store", "said"),
    [("/elsewhere", "outside the allowed folders"), ("file:///elsewhere", "fetch.roots"),
     ("s3://other/folder", "fetch.buckets"), ("https://cdn.example/", "fetch.schemes"),
     ("memory://folder", "fetch.schemes"), ("file://host/folder", "host")],
)  # fmt: skip
async def test_a_store_that_workers_could_not_fetch_from_is_refused_at_the_start(
    tmp_path: Path, store: str, said: str
) -> None:
    fetch = {"buckets": ["ours"]}
    with pytest.raises(SettingsError, match=rf"console\.match_store = '{store}'.*{said}"):
        async with running_site(tmp_path, fetch=fetch, match_store=store):
            pass
    assert not Path("/elsewhere").exists()


async def test_what_a_killed_console_left_is_cleared_away(tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "asked"
    names = [f"{OURS}{uuid.uuid4().hex}" for _ in range(2)] + [f"{OURS}film", "film.mp4"]
    old, new, *others = (folder / name for name in names)
    async with running_site(tmp_path) as site:
        for path in (old, new, *others):
            path.write_bytes(CLIP)
            seconds = 0 if path == new else 3600
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - seconds))
        await site.worker.stop()
        again = type(site.worker)(site.settings)
        await again.start()
        try:
            async with asyncio.timeout(10):
                while old.exists():
                    await asyncio.sleep(0.02)
            assert sorted(site.asked) == sorted([new, *others])
        finally:
            await again.stop()


async def test_more_than_a_few_files_at_once_are_turned_away(tmp_path: Path) -> None:
    store = MatchStore(str(tmp_path), FetchSettings(roots=(tmp_path,)))

    async def kept() -> int:
        try:
            async with store.keep(chunks(CLIP)):
                await asyncio.sleep(0.5)
        except Problem as problem:
            return problem.status_code
        return 200

    statuses = await asyncio.gather(*(kept() for _ in range(AT_ONCE + 2)))
    assert sorted(statuses) == [200] * AT_ONCE + [429] * 2
    assert [*tmp_path.iterdir()] == []


async def test_a_store_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    store = MatchStore(str(tmp_path / "asked"), FetchSettings(roots=(tmp_path,)))
    (tmp_path / "asked").rmdir()
    with pytest.raises(Problem) as told:
        async with store.keep(chunks(CLIP)):
            pass
    assert told.value.status_code == 503


async def test_a_bucket_holds_a_file_for_the_question(bucket: FetchSettings) -> None:
    store = MatchStore("s3://asked/folder", bucket)
    client = boto3.client("s3", endpoint_url=bucket.s3_endpoint_url)
    async with store.keep(chunks(CLIP, CLIP)) as uri:
        key = uri.removeprefix("s3://asked/")
        found = await asyncio.to_thread(client.get_object, Bucket="asked", Key=key)
        assert found["Body"].read() == CLIP + CLIP
        await asyncio.to_thread(store.clear)  # it is asked about: too new
        await asyncio.to_thread(client.head_object, Bucket="asked", Key=key)
    assert "Contents" not in await asyncio.to_thread(client.list_objects_v2, Bucket="asked")
    client.close()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FetchSettings]:
    """An S3 server with the bucket `asked`, as workers know it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = FetchSettings(s3_endpoint_url=f"http://{host}:{port}")
    client = boto3.client("s3", endpoint_url=settings.s3_endpoint_url)
    client.create_bucket(Bucket="asked")
    client.close()
    yield settings
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


FORM: dict[str, Any] = {"Content-Type": "multipart/form-data; boundary=x"}


def form(name: str, value: bytes) -> bytes:
    """A part of a form."""
    ending = b'; filename="a.mp4"' if name == "file" else b""
    head = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n' % (name.encode(), ending)
    return head + value + b"\r\n"


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
