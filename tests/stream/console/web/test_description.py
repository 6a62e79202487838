"""The API keeps to its own description: schemathesis asks the running console what that allows.

Each operation is asked what fits its description and what doesn't, with ids that are there and
with made-up ones; every answer must be one that it describes. No more than a few each, the same
in every run: what is odd is found by the kind of a field, not by luck.
"""

import asyncio
import copy
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.stream.console.web.site import Site
from tests.stream.console.web.test_limits import decided

pytestmark = pytest.mark.asyncio(loop_scope="module")
# 500 is described nowhere, and 503 and 504 where they may be: an answer like any other.
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
Operation = APIOperation[Any, Any, Any, Any]
EXAMPLES = {GenerationMode.POSITIVE: 4, GenerationMode.NEGATIVE: 3}


def cases_of(operation: Operation, mode: GenerationMode) -> list[tuple[Case[Any], bool]]:
    """Some things to ask an operation, each with whether to ask it about what is there."""
    cases = list[tuple[Case[Any], bool]]()

    @hypothesis.settings(
        max_examples=EXAMPLES[mode],
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[*HealthCheck],
    )
    @hypothesis.given(case=operation.as_strategy(mode), is_known=st.booleans())
    def collect(case: Case[Any], is_known: bool) -> None:
        cases.append((case, is_known and mode is GenerationMode.POSITIVE))

    try:
        # Asked later: while Hypothesis draws, nobody else may touch what is random.
        collect()
    except hypothesis.errors.Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, f"nothing fits {operation.label}"
    return cases


def without_sign_in(description: dict[str, Any]) -> dict[str, Any]:
    """The description without tokens: all requests have one, which none is to take away."""
    made = copy.deepcopy(description)
    assert made["components"].pop("securitySchemes")
    for operations in made["paths"].values():
        for operation in operations.values():
            operation.pop("security")
    return made


async def test_every_operation_answers_as_it_is_described(site: Site) -> None:
    alert = await site.alert()
    machine = await site.machine("admin")
    body: dict[str, Any] = {"url": "https://hooks.example/", "kinds": ["alert.raised"]}
    webhook = (await machine.post("/api/v1/webhooks", json=body)).json()
    sent = {"video_id": "v", "uri": "https://cdn.example/v.mp4", "owner_id": "o"}
    request_id = (await machine.post("/api/v1/uploads", json=sent)).json()["request_id"]
    await site.say(decided("v", request_id))  # or its events would go on and on
    known = {
        "alert_id": alert.alert_id,
        "request_id": request_id,
        "owner_id": alert.reference_owner_id,
        "webhook_id": webhook["webhook_id"],
    }
    session = requests.Session()
    session.headers["Authorization"] = machine.headers["authorization"]
    schema = schemathesis.openapi.from_dict(without_sign_in(site.app.openapi()))
    # What deletes comes last: all others are asked about what is there.
    operations = sorted(
        (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)),
        key=lambda each: each.method == "delete",
    )
    assert len(operations) >= 25
    wrong = list[str]()
    for operation in operations:
        for case, is_known in (each for mode in EXAMPLES for each in cases_of(operation, mode)):
            # A test of the webhook would be sent to somewhere outside.
            if is_known and not operation.path.endswith("/test"):
                case.path_parameters = {
                    name: known.get(name, value) for name, value in case.path_parameters.items()
                }
            if isinstance(case.query.get("wait_seconds"), int | float):
                case.query["wait_seconds"] = 0  # no worker runs that would decide
            if operation.path.endswith("/matches") and isinstance(case.body, dict):
                case.body.setdefault("timeout_seconds", 1)
                if isinstance(case.body["timeout_seconds"], int | float):
                    case.body["timeout_seconds"] = 1
            try:
                await asyncio.to_thread(
                    case.call_and_validate,
                    base_url=site.worker.url,
                    session=session,
                    checks=CHECKS,
                )
            except FailureGroup as failures:
                wrong += [f"{case.as_curl_command()}\n{each}" for each in failures.exceptions]
    session.close()
    assert not wrong, "\n\n".join(wrong)
