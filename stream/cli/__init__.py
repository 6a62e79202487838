"""The command `samesource`. One file per noun; heavy imports wait until a command needs them."""

import sys

from models.errors import ModelError
from stream.cli.app import app
from stream.errors import SamesourceError


def main() -> None:
    """Run the command; an expected error is one line and exit code 1."""
    try:
        app()
    except (SamesourceError, ModelError) as error:
        from rich.text import Text

        from stream.cli.console import stderr

        stderr.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        sys.exit(1)
