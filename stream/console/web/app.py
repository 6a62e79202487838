"""Joins pages, API and guards into one application."""

from pathlib import Path

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from stream.console.web.api import alerts as api_alerts
from stream.console.web.api import matches as api_matches
from stream.console.web.api import policies as api_policies
from stream.console.web.api import references as api_references
from stream.console.web.api import search as api_search
from stream.console.web.api import uploads as api_uploads
from stream.console.web.api import webhooks as api_webhooks
from stream.console.web.bounds import PathId
from stream.console.web.console import Console, console_of
from stream.console.web.pages import (
    account,
    alert,
    audit,
    library,
    match,
    overview,
    policies,
    queue,
    rejected,
    signin,
    uploads,
    webhooks,
)
from stream.console.web.problems import (
    DATABASE_ERRORS,
    on_broker_error,
    on_bug,
    on_database_error,
    on_http_error,
    on_unreadable,
)
from stream.console.web.signin.gate import Gate
from stream.console.web.signin.headers import SecurityHeaders
from stream.errors import BrokerError

STATIC = Path(__file__).parent / "static"
PAGES = (
    account.router,  # before what takes anything below /signin/ for a link
    signin.router,
    queue.router,
    alert.router,
    library.router,
    rejected.router,
    uploads.router,
    policies.router,
    match.router,
    overview.router,
    audit.router,
    webhooks.router,
)
API = (
    api_alerts.router,
    api_uploads.router,
    api_matches.router,
    api_references.router,
    api_search.router,
    api_policies.router,
    api_policies.trials,
    api_webhooks.router,
)


# For the description alone: the gate has looked at the token by then.
TOKEN = HTTPBearer(
    scheme_name="token", auto_error=False, description="Made by `samesource token create`"
)


def create_app(console: Console) -> FastAPI:
    """The application of a console."""
    app = FastAPI(
        title="samesource",
        version="1",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # it would redirect to the host that the request names
    )
    app.state.console = console
    for router in PAGES:
        app.include_router(router)
    for router in API:
        app.include_router(router, dependencies=[Security(TOKEN)])
    app.add_api_route("/health/{kind}", _health, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=STATIC))
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(BrokerError, on_broker_error)
    for kind in DATABASE_ERRORS:
        app.add_exception_handler(kind, on_database_error)
    app.add_exception_handler(RequestValidationError, on_unreadable)
    app.add_exception_handler(Exception, on_bug)
    # The last one added is the first that sees a request.
    app.add_middleware(Gate, console=console)
    app.add_middleware(SecurityHeaders, behind_tls=console.settings.console.is_behind_tls)
    return app


async def _health(request: Request, kind: PathId) -> JSONResponse:
    """Whether the process is `live` or `ready`; why it isn't is nothing for strangers."""
    if kind not in ("live", "ready"):
        raise HTTPException(404, "/health/live or /health/ready")
    problems = console_of(request).problems(kind)
    body = {"status": "failing" if problems else "ok"}
    return JSONResponse(body, 503 if problems else 200)
