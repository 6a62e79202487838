"""The command `samesource`. One file per noun; heavy imports wait until a command needs them."""

import sys
from typing import NoReturn

from models.errors import ModelError
from stream.errors import SamesourceError
from stream.loading import end_without_a_look, loading


def main() -> None:
    """Run the command; an expected error is one line and exit code 1."""
    end_without_a_look()
    with loading():
        from stream.cli.app import app
    try:
        app()
    except (SamesourceError, ModelError) as error:
        _end(str(error))
    except OSError as error:
        # Without a file there is nothing for a user to name otherwise: the traceback says more.
        if error.filename is None:
            raise
        _end(f"{error.filename}: {error.strerror}: name a file or folder that this user can use")
    except Exception as error:
        if type(error).__name__ != "KafkaException":  # its module would be loaded for nothing
            raise
        _end(f"Kafka: {error}: check the section kafka of the settings")


def _end(text: str) -> NoReturn:
    from rich.text import Text

    from stream.cli.output import stderr

    stderr.print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
    sys.exit(1)
