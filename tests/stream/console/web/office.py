"""A console that people sign in to with the company's account."""

from dataclasses import dataclass
from typing import Any

import httpx2

from stream.console.settings import ConsoleSettings
from tests.stream.console.web.company import CLIENT_ID, CLIENT_SECRET, Company
from tests.stream.console.web.site import ORIGIN, Site

ROLES = {"reviewers": "reviewer", "chiefs": "admin", "leagues": "holder"}


@dataclass
class Office:
    """A console, and the provider that its settings name."""

    site: Site
    company: Company

    async def to_provider(self, client: httpx2.AsyncClient, next: str = "/queue") -> str:
        """Where the console sends somebody."""
        answer = await client.get("/signin/account", params={"next": next})
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    async def back(self, location: str) -> str:
        """Where the provider sends them: path and query."""
        async with httpx2.AsyncClient(trust_env=False) as browser:
            answer = await browser.get(location)
        assert answer.status_code == 302, answer.text
        url = str(answer.headers["location"])
        assert url.startswith(f"{ORIGIN}/signin/account/back?")
        return url.removeprefix(ORIGIN)

    async def sign_in(
        self, client: httpx2.AsyncClient | None = None, next: str = "/queue"
    ) -> httpx2.Response:
        """All of it."""
        browser = client or self.site.client()
        return await browser.get(await self.back(await self.to_provider(browser, next)))


def settings_of(company: Company, **fields: Any) -> ConsoleSettings:
    """Of a console that the provider knows."""
    return ConsoleSettings.model_validate({
        "oidc_issuer": company.issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_roles": ROLES,
        "oidc_timeout_seconds": 5.0,
    } | fields)  # fmt: skip
