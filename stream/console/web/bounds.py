"""How long what an address says may be: every text in one has an end, which a test looks for."""

from typing import Annotated

from fastapi import Path, Query

from stream.console.store.cursors import LONGEST

# As in the contract: no id of a video or owner is longer.
MAX_ID_LETTERS = 512
# A page of ours has 23,000, where all texts in it are Chinese and as long as they may be.
MAX_ADDRESS_LETTERS = 2**15
MAX_WORD_LETTERS = 40

Word = Annotated[str, Query(max_length=MAX_WORD_LETTERS)]
"""One of a few words, or a number; what it isn't is left to the route."""
Id = Annotated[str, Query(max_length=MAX_ID_LETTERS)]
"""An id, or nothing."""
SomeId = Annotated[str | None, Query(max_length=MAX_ID_LETTERS)]
"""An id, or none."""
OwnerId = Annotated[str | None, Query(max_length=MAX_ID_LETTERS, description="The rights holder")]
PathId = Annotated[str, Path(max_length=MAX_ID_LETTERS)]
"""An id within the path."""
Cursor = Annotated[
    str | None, Query(max_length=LONGEST, description="`next` of the page before this one")
]
Address = Annotated[str | None, Query(max_length=MAX_ADDRESS_LETTERS)]
"""An address to lead to, or what another service says by one."""
