"""The command line and its groups of commands, still without any command."""

import typer

__all__ = ["app", "data_app", "models_app", "visibility_app"]

app = typer.Typer(
    name="hemiface",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="How much of a face an emotion needs: train, evaluate and explain emotion recognition "
    "on whole and half-hidden faces.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or config, 3 no face found under --strict, "
    "4 damaged data or weights, 130 interrupted, 141 nobody reads the output any more.",
)
data_app = typer.Typer(help="Look at data: audit, sheets, rendered faces.", no_args_is_help=True)
app.add_typer(data_app, name="data")
models_app = typer.Typer(help="The models that come with hemiface.", no_args_is_help=True)
app.add_typer(models_app, name="models")
visibility_app = typer.Typer(
    help="The network that says what of a face is visible: train it, evaluate it.",
    no_args_is_help=True,
)
app.add_typer(visibility_app, name="visibility")
