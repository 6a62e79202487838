"""`samesource policy`: what each rights holder wants to hear of."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from stream.cli.output import stderr, stdout
from stream.contract.events import PolicyUpdated, parse_json
from stream.errors import BadEventError, SettingsError

policy_app = typer.Typer(
    help="What each rights holder wants to hear of: minima, licences, exclusions.",
    no_args_is_help=True,
)
Owner = Annotated[str, typer.Argument(metavar="OWNER", help="Owner id of the rights holder.")]


@policy_app.command("set")
def set_policy(
    context: typer.Context,
    owner: Owner,
    file: Annotated[
        Path | None, typer.Option(help="JSON, as `policy show` prints it; options win over it.")
    ] = None,
    least_seconds: Annotated[
        float | None, typer.Option(help="Seconds of the upload that are copied, together.")
    ] = None,
    least_video_share: Annotated[
        float | None, typer.Option(help="Copied seconds by the upload's duration, 0 to 1.")
    ] = None,
    least_reference_share: Annotated[
        float | None, typer.Option(help="Copied seconds by the reference's duration, 0 to 1.")
    ] = None,
    least_score: Annotated[float | None, typer.Option(help="Of an alert, 0 to 1.")] = None,
    alerts_per_hour: Annotated[
        int | None, typer.Option(help="Of one reference; what goes beyond is held for review.")
    ] = None,
    licensed: Annotated[
        list[str] | None, typer.Option(help="An owner id whose uploads may copy; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="`REFERENCE:START-END` in seconds, not protected; repeatable."),
    ] = None,
) -> None:
    """Replace an owner's whole policy. What isn't given is as the settings say."""
    from stream.broker.client import send

    options: dict[str, Any] = {
        "least_seconds": least_seconds,
        "least_video_share": least_video_share,
        "least_reference_share": least_reference_share,
        "least_score": least_score,
        "alerts_per_hour": alerts_per_hour,
        "licensed_owner_ids": licensed or None,
        "exclusions": [_exclusion(text) for text in exclude] if exclude else None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    policy = _policy(owner, {} if file is None else _read(file), given)
    send(context.obj.kafka, policy.topic, [(policy.key(), policy.to_bytes(), [])])
    _print(policy)


@policy_app.command("show")
def show(
    context: typer.Context,
    owner: Annotated[
        str | None, typer.Argument(metavar="[OWNER]", help="All policies by default.")
    ] = None,
) -> None:
    """Print policies as JSON, one a line."""
    policies = _policies(context)
    if owner is None:
        for policy in policies.values():
            _print(policy)
        if not policies:
            stderr.print("no policies: what the settings say holds for everybody")
    elif owner in policies:
        _print(policies[owner])
    else:
        raise SettingsError(f"{owner} has no policy: what the settings say holds")


@policy_app.command("remove")
def remove(context: typer.Context, owner: Owner) -> None:
    """Take an owner's policy back; what the settings say holds then."""
    from stream.broker.client import send

    if owner not in _policies(context):
        raise SettingsError(f"{owner} has no policy: `samesource policy show` lists those that do")
    send(context.obj.kafka, PolicyUpdated.topic, [(owner.encode(), None, [])])
    stdout.print(f"{owner} has no policy any more", markup=False)


def _policies(context: typer.Context) -> dict[str, PolicyUpdated]:
    """The policies that hold, by owner."""
    from stream.broker.client import Reader

    found: dict[str, PolicyUpdated] = {}
    with Reader(context.obj.kafka, PolicyUpdated.topic) as reader:
        for _, message in reader.until_now():
            key = (message.key() or b"").decode(errors="replace")
            if message.value() is None:
                found.pop(key, None)
                continue
            try:
                policy = PolicyUpdated.from_bytes(message.value())
            except BadEventError as error:
                stderr.print(f"passed over {key}: {error}", soft_wrap=True, markup=False)
                continue
            # As decide workers do: under another's key it could never be taken back.
            if policy.owner_id == key:
                found[key] = policy
    return found


def _policy(owner: str, fields: dict[str, Any], given: dict[str, Any]) -> PolicyUpdated:
    """The policy of a file's fields and the options.

    Raises:
        SettingsError: a field is unknown or mistyped, or the file is of another owner.
    """
    # Events ignore what they don't know, so that a misspelt limit would be none, in silence.
    unknown = sorted(fields.keys() - PolicyUpdated.model_fields.keys())
    if unknown:
        known = ", ".join(PolicyUpdated.model_fields)
        raise SettingsError(f"no field {', '.join(unknown)} in a policy; there are: {known}")
    if fields.get("owner_id", owner) != owner:
        raise SettingsError(f"the file is {fields['owner_id']}'s policy, expected {owner}'s")
    try:
        return PolicyUpdated.from_json({**fields, **given, "owner_id": owner})
    except BadEventError as error:
        raise SettingsError(str(error)) from error


def _read(file: Path) -> dict[str, Any]:
    """The fields in a file.

    Raises:
        SettingsError: it isn't there, or isn't a JSON object.
    """
    try:
        fields = parse_json(file.read_bytes())
    except (OSError, BadEventError) as error:
        raise SettingsError(f"{file}: {error}") from error
    if not isinstance(fields, dict):
        raise SettingsError(f"{file}: expected a JSON object, got {type(fields).__name__}")
    return fields


def _exclusion(text: str) -> dict[str, Any]:
    """The exclusion of `REFERENCE:START-END`.

    Raises:
        SettingsError: it isn't written so.
    """
    from stream.admin.exclusions import exclusion_of

    try:
        return exclusion_of(text)
    except SettingsError as error:
        raise SettingsError(f"--exclude {error}") from error


def _print(policy: PolicyUpdated) -> None:
    text = orjson.dumps(policy.model_dump(exclude_none=True)).decode()
    stdout.print(text, soft_wrap=True, markup=False, highlight=False)
