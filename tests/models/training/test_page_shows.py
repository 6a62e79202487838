"""Shows of drawn pages: still, of one template in pairs, and never the same page twice."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.detector.validate import split_pool
from models.encoder.serve import FrameEncoder, default_encoder_path
from models.training import pool_pictures
from models.training.descriptor_pool import load_pool
from models.training.page_shows import FAMILIES, PAGES, SHOWS, page_shows
from models.training.pool_pictures import build_pictures
from stream.demo.clips import make_clip
from stream.demo.plan import Clip, Drawn


def test_a_family_has_two_shows_without_a_page_in_common() -> None:
    shows = list(page_shows(1.0))
    assert len(shows) == len({name for name, _, _ in shows}) == SHOWS
    families: dict[str, set[bytes]] = {}
    for _, family, frames in shows:
        pages = {frame.tobytes() for frame in frames}
        assert len(pages) == PAGES == 1 + sum(a is not b for a, b in pairwise(frames))
        assert not pages & families.setdefault(family, set())
        families[family] |= pages
    assert len(families) == SHOWS / 2 and FAMILIES * 2 <= SHOWS


def test_the_pool_holds_pages_whose_families_are_held_out_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [show for show in page_shows(pool_pictures.FRAMES_PER_SECOND) if "chess-00" in show[0]]
    monkeypatch.setattr(pool_pictures, "page_shows", lambda rate: few)
    make_clip(Clip("one", (Drawn("reef", 1, 2.0),)), tmp_path, "clips")
    encoder = FrameEncoder(default_encoder_path())
    build_pictures(tmp_path, tmp_path / "pictures", size=encoder.input_size, pages=True)
    pool = {footage.name: footage for footage in load_pool(tmp_path / "pictures", encoder)}
    assert pool["one"].family is None and pool["one"].group == "one"
    pages = [pool[name] for name, _, _ in few]
    assert {page.group for page in pages} == {"pages-chess-00"}
    for page, (_, _, frames) in zip(pages, few, strict=True):
        plain, seconds = page.descriptors[0], len(frames) / pool_pictures.FRAMES_PER_SECOND
        assert page.seconds == seconds and len(np.unique(plain, axis=0)) == PAGES
        edited = page.descriptors[1]
        assert not np.array_equal(plain, edited)
    for part in split_pool(pages):
        assert len(part) in (0, 2)
