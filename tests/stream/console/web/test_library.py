"""The pages of the library: what is in it, matches both ways, takedowns."""

import io
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from stream.admin import takedown
from stream.broker.client import Reader, send
from stream.broker.settings import KafkaSettings
from stream.contract.events import PolicyUpdated, VideoFingerprinted
from stream.errors import BrokerError
from tests.stream.console.web.site import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD = "film/1?a=b&<i>"


async def test_references_are_listed_by_owner(site: Site) -> None:
    alert = await site.alert(reference_owner_id="shelf", title="A shelved film")
    browser = await site.browser("viewer")
    text = (await browser.get("/library?owner=shelf")).text
    assert alert.reference_id in text and "A shelved film" in text and "0:30.0" in text
    assert alert.video_id not in text
    text = (await browser.get(f"/library?role=upload&owner={alert.video_owner_id}")).text
    assert alert.video_id in text
    assert (await browser.get("/library?cursor=nonsense")).status_code == 422


async def test_an_entry_shows_its_matches_both_ways(site: Site) -> None:
    alert = await site.alert(reference_id=ODD, reference_owner_id="odd owner")
    exclusion = {"reference_id": ODD, "start_seconds": 0.0, "end_seconds": 90.0}
    await site.say(PolicyUpdated.from_json({"owner_id": "odd owner", "exclusions": [exclusion]}))
    browser = await site.browser("viewer")
    found = await browser.get(f"/library?find={quote(ODD)}")
    text = (await browser.get(found.headers["location"])).text
    assert f'href="/alerts/{alert.alert_id}?state=open"' in text and alert.video_id in text
    assert "0:00.0–1:30.0" in text and "<i>" not in text and "Take down" not in text
    text = (await browser.get(f"/library/entry?video={alert.video_id}")).text
    assert f'href="/alerts/{alert.alert_id}?state=open"' in text
    strip = await browser.get(f"/library/strip.jpg?video={alert.video_id}")
    assert Image.open(io.BytesIO(strip.content)).height == 96
    assert "there is no such video" in (await browser.get("/library?find=unheard-of")).text
    for path in ("entry", "strip.jpg"):
        assert (await browser.get(f"/library/{path}?video=unheard-of")).status_code == 404


async def test_an_entry_shows_which_of_its_seconds_were_dismissed(site: Site) -> None:
    first, second = [
        await site.alert(reference_id="jingle", reference_owner_id="radio") for _ in "ab"
    ]
    reviewer = await site.browser("reviewer", "rita")
    for alert, span in ((first, ("12", "14.5")), (second, ("2", "4"))):
        said = {"verdict": "dismissed", "scope": "span", "start": span[0], "end": span[1]}
        await reviewer.send(f"/alerts/{alert.alert_id}/verdict", said | {"note": "its <jingle>"})
    other = await site.alert(reference_id="jingle", reference_owner_id="radio")
    pair = {"verdict": "dismissed", "scope": "pair", "note": "this pair alone"}
    await reviewer.send(f"/alerts/{other.alert_id}/verdict", pair)
    text = (await reviewer.get("/library/entry?video=jingle")).text
    assert text.index("0:02.0–0:04.0") < text.index("0:12.0–0:14.5")
    assert "rita" in text and "its &lt;jingle&gt;" in text and "this pair alone" not in text
    form = f"/alerts/{first.alert_id}/verdict"
    assert f'action="{form}"' in text
    holder = await site.browser("holder", "lea", ["radio"])
    seen = (await holder.get("/library/entry?video=jingle")).text
    assert "0:12.0–0:14.5" in seen and f'action="{form}"' not in seen
    await reviewer.send(form, {"verdict": "withdrawn"})
    text = (await reviewer.get("/library/entry?video=jingle")).text
    assert "0:12.0–0:14.5" not in text and "0:02.0–0:04.0" in text


async def test_a_takedown_is_on_the_library_log_with_a_reason(site: Site) -> None:
    alert = await site.alert(reference_id="to/take?down")
    admin = await site.browser("admin", "adam")
    answer = await admin.send(
        "/library/takedown", {"video": "to/take?down", "note": "the owner asks"}
    )
    text = (await admin.get(answer.headers["location"])).text
    assert "taken down" in text and "Take down" not in text
    with Reader(site.settings.kafka, VideoFingerprinted.topic) as reader:
        keys = [each.key() for _, each in reader.until_now() if each.value() is None]
    assert keys == [b"to/take?down"]
    (line,) = (await site.console.desk.audit(about="to/take?down")).items
    assert (line.person, line.action, line.why) == ("adam", "take down", "the owner asks")
    reviewer = await site.browser("reviewer")
    refused = await reviewer.send("/library/takedown", {"video": alert.video_id})
    assert refused.status_code == 403
    assert (await admin.send("/library/takedown", {"video": "unheard-of"})).status_code == 404


async def test_a_rights_holder_sees_their_own_entries(site: Site) -> None:
    mine = await site.alert(reference_owner_id="mine", title="Mine")
    others = await site.alert(reference_owner_id="others", title="Others' film")
    holder = await site.browser("holder", owners=["mine"])
    for page in ("/library", "/library?owner=others", f"/library?find={others.reference_id}"):
        text = (await holder.get(page)).text
        assert "Others&#39; film" not in text
    assert "Mine" in (await holder.get("/library")).text
    for path in ("entry", "strip.jpg"):
        url = f"/library/{path}?video={others.reference_id}"
        assert (await holder.get(url)).status_code == 404
    assert (await holder.get(f"/library/entry?video={mine.reference_id}")).status_code == 200


@pytest.mark.parametrize("by", ["page", "machine"])
async def test_half_a_takedown_is_told_and_has_its_line(
    site: Site, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    alert = await site.alert()
    admin, machine = await site.browser(), await site.machine()

    def send_vectors(kafka: KafkaSettings, topic: str, messages: Any) -> None:
        if topic == VideoFingerprinted.topic:
            raise BrokerError("Kafka at secret-host:9092: no answer")
        send(kafka, topic, messages)

    monkeypatch.setattr(takedown, "send", send_vectors)
    if by == "page":
        fields = {"video": alert.reference_id, "note": "the owner asks"}
        answer = await admin.send("/library/takedown", fields)
    else:
        path = f"/api/v1/references/{alert.reference_id}?note=the+owner+asks"
        answer = await machine.delete(path)
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert "not whole" in answer.text and "secret-host" not in answer.text
    (line,) = (await site.console.desk.audit(about=alert.reference_id)).items
    assert (line.action, line.why) == ("take down in part", "the owner asks")
