"""Search: videos of the library by what they show, in words or as a picture."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from stream.console.store.desk import Person
from stream.console.web.api.common import Limit, problems
from stream.console.web.console import Here
from stream.console.web.found import FoundVideo, found_by_picture, found_by_text
from stream.console.web.problems import Problem
from stream.console.web.signin.rights import at_least, may_fetch

router = APIRouter(prefix="/api/v1/search", tags=["references"])
Reader = Annotated[Person, Depends(at_least("holder", "references"))]


class FoundVideoBody(BaseModel):
    """A video of the library that was found."""

    video_id: str
    similarity: float = Field(
        description="Cosine of its vector, or of a moment's less a margin, and of what was asked"
    )
    moment_seconds: float | None = Field(
        default=None, description="Where it shows that; null where the whole video does"
    )
    owner_id: str | None = None
    role: str | None = None
    title: str | None = None
    duration_seconds: float | None = None

    @classmethod
    def of(cls, found: FoundVideo) -> "FoundVideoBody":
        """As it was found."""
        names = cls.model_fields.keys() - {"similarity", "moment_seconds"}
        fields = {name: getattr(found.video, name) for name in names}
        at = None if found.moment_seconds is None else round(found.moment_seconds, 3)
        return cls(similarity=round(found.similarity, 6), moment_seconds=at, **fields)


class FoundBody(BaseModel):
    """What was found, the most alike first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model_version": "text-video-5f0c",
                    "left_out": 0,
                    "warnings": [],
                    "items": [
                        {
                            "video_id": "dogs-2",
                            "similarity": 0.31,
                            "moment_seconds": 41.5,
                            "owner_id": "channel-12",
                            "role": "upload",
                            "duration_seconds": 67.4,
                        }
                    ],
                }
            ]
        }
    )

    model_version: str
    left_out: int = Field(description="Videos with vectors of another model, which aren't found")
    warnings: list[str]
    items: list[FoundVideoBody]


@router.get("", responses=problems(503))
async def search(
    console: Here,
    person: Reader,
    text: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=1000,
            description="What the videos show, in Chinese or English",
            examples=["two dogs running on grass"],
        ),
    ] = None,
    uri: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=4096,
            description="Of a picture or clip that they look like, for reviewers and above",
            examples=["https://cdn.example/still.jpg"],
        ),
    ] = None,
    limit: Limit = 50,
) -> FoundBody:
    """Videos of the library that show what is asked for, the most alike first.

    By a text or by a picture. 503 with `Retry-After` while the videos' vectors are being read,
    after the console's start.
    """
    if text is not None and uri is None:
        found = await found_by_text(console, person, text, limit)
    elif uri is not None and text is None:
        may_fetch(person)
        found = await found_by_picture(console, person, uri, limit)
    else:
        raise Problem(422, "expected either text or uri")
    return FoundBody(
        model_version=found.question.model_version,
        left_out=found.question.left_out,
        warnings=list(found.question.warnings),
        items=[FoundVideoBody.of(each) for each in found.videos],
    )
