"""Fetching: which URIs are taken, and files on this machine's disks."""

import os
from pathlib import Path

import pytest

from stream.errors import ForbiddenUriError, NotFoundError, RejectedError, TooLargeError
from stream.fetch.fetch import FetchSettings, fetch

BODY = bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("uri", "error", "says"),
    [
        ("ftp://host/video", ForbiddenUriError, "fetch.schemes"),
        ("videos/one.mp4", ForbiddenUriError, "no scheme"),
        ("file://elsewhere/one.mp4", ForbiddenUriError, "three slashes"),
        ("file:one.mp4", ForbiddenUriError, "not absolute"),
        ("http://", NotFoundError, "https://host/path"),
        ("http://nowhere.invalid/one.mp4", NotFoundError, "nowhere.invalid"),
        ("s3://bucket", NotFoundError, "s3://bucket/key"),
    ],
)
def test_an_unusable_uri_is_told_with_its_cure(
    tmp_path: Path, uri: str, error: type[RejectedError], says: str
) -> None:
    with pytest.raises(error, match=says):
        fetch(uri, FetchSettings(retries=0), tmp_path)


def test_a_scheme_can_be_switched_off(tmp_path: Path) -> None:
    with pytest.raises(ForbiddenUriError, match="'file' is not among fetch.schemes = https"):
        fetch("/one.mp4", FetchSettings(schemes=("https",)), tmp_path)


@pytest.mark.parametrize(
    "name", ["plain.mp4", "with space.mp4", "100%.mp4", "视频#1?.mp4", "a%20b"]
)
def test_local_names_work_as_path_and_as_uri(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(BODY)
    settings = FetchSettings(roots=(tmp_path,))
    assert fetch(str(path), settings, tmp_path).path == path
    assert fetch(path.as_uri(), settings, tmp_path).path == path
    assert fetch(path.as_uri().replace("file://", "file://localhost"), settings, tmp_path)


def test_the_working_directory_is_the_root_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "one.mp4").write_bytes(BODY)
    (tmp_path / "two.mp4").write_bytes(BODY)
    monkeypatch.chdir(inside)
    assert fetch(str(inside / "one.mp4"), FetchSettings(), tmp_path).size_bytes == len(BODY)
    for outside in (tmp_path / "two.mp4", inside / ".." / "two.mp4", tmp_path / "nothing.mp4"):
        with pytest.raises(ForbiddenUriError, match="SAMESOURCE_FETCH__ROOTS"):
            fetch(str(outside), FetchSettings(), tmp_path)


def test_a_link_out_of_the_roots_is_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "two.mp4").write_bytes(BODY)
    (inside / "link.mp4").symlink_to(tmp_path / "two.mp4")
    with pytest.raises(ForbiddenUriError, match="outside the allowed folders"):
        fetch(str(inside / "link.mp4"), FetchSettings(roots=(inside,)), tmp_path)
    fetched = fetch(str(inside / "link.mp4"), FetchSettings(roots=(tmp_path,)), tmp_path)
    assert fetched.path == tmp_path / "two.mp4"


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    settings = FetchSettings(roots=(tmp_path,))
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    for name, error, says in [
        ("pipe.mp4", ForbiddenUriError, "pipe, socket or device"),
        ("", NotFoundError, "is a folder"),
        ("nothing.mp4", NotFoundError, "no file at"),
        ("nothing/at/all.mp4", NotFoundError, "no file at"),
        ("loop.mp4", NotFoundError, "no usable file"),
        ("nul\0.mp4", NotFoundError, "no usable file"),
        ("x" * 300, NotFoundError, "no usable file"),
    ]:
        with pytest.raises(error, match=says):
            fetch(f"{tmp_path}/{name}", settings, tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "locked.mp4"
    path.write_bytes(BODY)
    path.chmod(0)
    with pytest.raises(ForbiddenUriError, match="can't be read"):
        fetch(str(path), FetchSettings(roots=(tmp_path,)), tmp_path)


def test_a_local_file_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "big.mp4"
    path.write_bytes(BODY)
    settings = FetchSettings(roots=(tmp_path,), max_bytes=100)
    with pytest.raises(TooLargeError, match="10240 bytes or more, over fetch.max_bytes = 100"):
        fetch(str(path), settings, tmp_path)


def test_a_name_that_is_not_utf_8_is_found(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff \xe9.mp4"))
    path.write_bytes(BODY)
    settings = FetchSettings(roots=(tmp_path,))
    assert path.as_uri().endswith("/bad%FF%20%E9.mp4")
    assert fetch(path.as_uri(), settings, tmp_path).path == path


def test_a_message_about_a_name_that_is_not_utf_8_can_be_written(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    folder.mkdir()
    for uri, roots, error in [
        (f"{tmp_path.as_uri()}/none%FF.mp4", tmp_path, NotFoundError),
        (f"{tmp_path.as_uri()}/{'%FF' * 300}", tmp_path, NotFoundError),
        (folder.as_uri(), tmp_path, NotFoundError),
        (f"{folder.as_uri()}/a.mp4", tmp_path / "other", ForbiddenUriError),
        (f"{tmp_path.as_uri()}/a.mp4", folder, ForbiddenUriError),
    ]:
        with pytest.raises(error) as raised:
            fetch(uri, FetchSettings(roots=(roots,)), tmp_path)
        assert "\\xff" in str(raised.value).encode().decode()
