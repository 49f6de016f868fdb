"""The command line: parse, call one function, print. Heavy imports happen inside the commands."""

import os
import sys
from typing import Annotated

import typer

# The order in which these register their commands is the order of --help.
# isort: off
from hemiface.cli import networks, configs, report, importing, vision, people, reading, serving
from hemiface.cli import data, models, visibility

# isort: on
from hemiface.cli.apps import app
from hemiface.cli.options import JsonOption
from hemiface.cli.printing import print_json
from hemiface.cli.streams import ReaderGoneError, standard_streams
from hemiface.errors import HemifaceError, escaped, extra_of
from hemiface.threads import stopped_like_ctrl_c

__all__ = [
    "app",
    "configs",
    "data",
    "importing",
    "main",
    "models",
    "networks",
    "people",
    "report",
    "serving",
    "visibility",
    "vision",
]


def main() -> None:
    """Run the command line; errors become one sentence on stderr and a documented exit code."""
    with standard_streams():
        sys.exit(_run())


def _run() -> int:
    """Run the command that is asked for; return the exit code."""
    try:
        with stopped_like_ctrl_c():
            code = _ended()
            sys.stdout.flush()
    except ReaderGoneError as gone:
        return gone.exit_code
    except HemifaceError as error:
        return _said(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        extra = extra_of(error.name or "")
        if extra is None:
            raise
        return _said(reading.needed(reading.lacking(extra) or [str(error.name)], extra))
    except OSError as error:
        # What the system refuses about a file that it names is no fault of the program.
        if error.filename is None:
            raise
        name = os.fsdecode(error.filename)
        return _said(f"{name}: {error.strerror}; check the path and who may read and write there.")
    return code


def _ended() -> int:
    """Run the commands, which end by SystemExit; return its code."""
    try:
        app(standalone_mode=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _said(sentence: str, code: int = 1) -> int:
    print(f"hemiface: {escaped(sentence)}", file=sys.stderr)
    return code


def _print_version(asked: bool) -> None:
    if asked:
        from hemiface import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _before_commands(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command()
def info(as_json: JsonOption = False) -> None:
    """Print versions and devices: what a bug report needs."""
    from hemiface.provenance import environment

    try:
        import torch  # noqa: F401
    except ImportError:
        print("torch is not installed: pip install 'hemiface[train]' to train.", file=sys.stderr)
    known = environment()
    if as_json:
        print_json(known)
        return
    for part, values in known.items():
        print(part)
        for name, value in values.items():
            text = ", ".join(value) or "none" if isinstance(value, list) else value
            print(f"  {name}: {text}")
