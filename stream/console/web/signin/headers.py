"""What every answer tells the browser: to run only our own files, and to tell nobody anything."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "media-src 'self'",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy of every answer: no inline script or style, nothing from elsewhere."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
TLS_HEADERS = {"Strict-Transport-Security": "max-age=31536000"}
NO_STORE, ASK_AGAIN = "no-store", "no-cache"
STATIC = "/static/"


class SecurityHeaders:
    """Adds the headers to every answer; what says nothing of caches isn't kept by any.

    But for our own files, which browsers keep and ask about: they change with a release.
    """

    def __init__(self, app: ASGIApp, *, behind_tls: bool) -> None:
        self._app = app
        self._headers = HEADERS | (TLS_HEADERS if behind_tls else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with the headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                ours = scope["path"].startswith(STATIC)
                headers.setdefault("Cache-Control", ASK_AGAIN if ours else NO_STORE)
                if "server" in headers:
                    del headers["server"]
            await send(message)

        await self._app(scope, receive, with_headers)
