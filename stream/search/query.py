"""A question in words to a vector, with what should be said about it. Serves search."""

from dataclasses import dataclass

from models.text_video.serve import TextEncoder
from stream.errors import QueryError
from stream.search.rows import Floats

FEW_KNOWN = 0.5  # of a query's words: below, its vector says more of what the model guesses


@dataclass(frozen=True)
class TextQuery:
    """A question that can be searched for.

    Attributes:
        vector: (1, D) float32, a unit row.
        warnings: why the answers may not be what was asked for, as sentences.
    """

    vector: Floats
    warnings: tuple[str, ...]


def text_query(encoder: TextEncoder, text: str) -> TextQuery:
    """Embed a question.

    Raises:
        QueryError: there is not one word in it, or it is no Unicode.
    """
    try:
        text.encode()
        tokens, known = encoder.tokens(text), encoder.known_share(text)
        vector = encoder.embed([text])
    # A `ValueError` too, so it is asked for first.
    except UnicodeEncodeError as error:
        raise QueryError("the query is no UTF-8: check the terminal's encoding") from error
    except ValueError as error:
        raise QueryError(
            "the query is empty: write what the video shows, such as `two dogs running on grass`"
        ) from error
    warnings = []
    if tokens > encoder.most_tokens:
        warnings.append(
            f"the query has {tokens} tokens; {encoder.model_version} reads the first "
            f"{encoder.most_tokens}"
        )
    if known == 0:
        warnings.append(
            f"{encoder.model_version} knows none of the query's words: the results mean nothing"
        )
    elif known < FEW_KNOWN:
        warnings.append(
            f"{encoder.model_version} knows only {known:.0%} of the query's words: the results may "
            "mean little"
        )
    return TextQuery(vector, tuple(warnings))
