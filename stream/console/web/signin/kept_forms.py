"""A form whose session has ended: a page that keeps what somebody wrote, to be sent again.

Serves the gate, for forms of our own pages alone: those of another site would be sent by us.
"""

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from stream.console.web.signin import csrf


def is_of_our_page(request: Request) -> bool:
    """Whether the browser says so; no script can, and old browsers don't."""
    return request.headers.get("sec-fetch-site") == "same-origin"


def kept_form(request: Request, status: int, fields: Mapping[str, Sequence[str]]) -> Response:
    """The page: whoever is signed in can send the form again, others are led to sign in first.

    Args:
        request: that sent the form.
        status: of the answer.
        fields: of the form; none where it was not read, as it has a file.
    """
    # Here, since pages import the gate.
    from stream.console.web.pages.render import render

    url = request.url
    return render(
        request,
        "kept_form.html",
        status=status,
        action=url.path + (f"?{url.query}" if url.query else ""),
        fields={name: values for name, values in fields.items() if name != csrf.FIELD},
    )
