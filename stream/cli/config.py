"""`samesource config`: what the settings are, after environment and file."""

import typer

from stream.cli.output import stdout

config_app = typer.Typer(help="The settings in force.", no_args_is_help=True)


@config_app.command("show")
def show(context: typer.Context) -> None:
    """Print every setting as JSON; secrets are hidden.

    `SAMESOURCE_KAFKA__BOOTSTRAP_SERVERS` in the environment is `kafka.bootstrap_servers` here.
    """
    stdout.print_json(context.obj.model_dump_json())
