"""Conditional requests: ETags of what is read, 304 for who has it, If-Match for who writes.

A tag is of the answer's very text, or names the Kafka message behind it, so that every console
gives the same one.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Header
from fastapi.responses import Response
from pydantic import BaseModel

IfNoneMatch = Annotated[
    str | None,
    Header(
        alias="If-None-Match",
        description="The ETag of what you have: 304 and no body where it is still so",
    ),
]


def tagged(*, is_read: bool = True) -> dict[int | str, dict[str, Any]]:
    """What a route that gives an ETag answers, for its description.

    Args:
        is_read: whether it also answers 304.
    """
    header = {"description": "Changes with the body", "schema": {"type": "string"}}
    told: dict[int | str, dict[str, Any]] = {200: {"headers": {"ETag": header}}}
    if is_read:
        told[304] = {"description": "What you have is still so", "headers": {"ETag": header}}
    return told


def tag_of(body: BaseModel) -> str:
    """The ETag of an answer: of its text."""
    text = body.model_dump_json().encode()
    return f'"{hashlib.blake2b(text, digest_size=16).hexdigest()}"'


def answered(
    body: BaseModel,
    if_none_match: str | None,
    *,
    tag: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer with its ETag; without a body where whoever asks has it.

    Args:
        body: of the answer.
        if_none_match: the header.
        tag: its ETag; of its text when left out.
        headers: besides.
    """
    tag = tag or tag_of(body)
    told = {**(headers or {}), "ETag": tag}
    if if_none_match is not None and names(if_none_match.replace("W/", ""), tag):
        return Response(status_code=304, headers=told)
    return Response(body.model_dump_json(), media_type="application/json", headers=told)


def names(header: str, tag: str) -> bool:
    """Whether an If-Match or If-None-Match names a tag, or whatever there is."""
    return header.strip() == "*" or tag in (each.strip() for each in header.split(","))
