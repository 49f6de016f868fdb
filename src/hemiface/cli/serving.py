"""Commands that show hemiface to browsers and programs: serve, page."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hemiface.cli.apps import app
from hemiface.cli.printing import say
from hemiface.cli.reading import require_extra
from hemiface.errors import escaped

if TYPE_CHECKING:
    from hemiface.serve.page import PageStart

__all__ = ["page", "serve"]

_MOST_WORKERS = 4


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets others in.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    model: Annotated[
        str,
        typer.Option(
            help="A file of hemiface export (REST alone), or a shipped model's name (the page "
            "begins with it, too); default as in predict."
        ),
    ] = "",
    hide: Annotated[
        str, typer.Option(help="What everybody hides, such as lower for masks; REST alone.")
    ] = "",
    mix: Annotated[
        str, typer.Option(help="As in predict: trained, balanced, natural, FILE (REST alone).")
    ] = "trained",
    abstain_below: Annotated[
        float | None, typer.Option(help="Give no label below this confidence.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Threads that find faces; default one a core, at most 4.", min=1),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with a token that REST requests must bring; else HEMIFACE_TOKEN, if set."
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="Name that requests may be for; repeat for more.")
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Page from elsewhere that may ask, https://...; repeat for more."),
    ] = None,
    with_page: Annotated[
        bool, typer.Option("--page/--no-page", help="Serve the page at /, too.")
    ] = True,
) -> None:
    """Serve the page and REST, on this machine alone unless told otherwise."""
    require_extra("serve")
    from hemiface.files import passing_folder
    from hemiface.serve.app import ServiceOptions, create_app
    from hemiface.serve.guard import allowed_hosts, is_loopback
    from hemiface.serve.page import write_page
    from hemiface.serve.run import address_of, listen, run, token_of
    from hemiface.vision.predictor import Predictor

    token = token_of(token_file)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(host, port))
        predictor = Predictor(
            model or None, hide=hide or None, mix=mix, abstain_below=abstain_below
        )
        folder = None
        if with_page:
            start = _start_of_page(model, hide, mix, abstain_below)
            folder = write_page(stack.enter_context(passing_folder()) / "page", start=start)
        options = ServiceOptions(
            workers=workers or min(_MOST_WORKERS, os.cpu_count() or 1),
            page=folder,
            token=token,
            hosts=allowed_hosts(host, allowed_host or ()),
            origins=tuple(origin or ()),
        )
        if not (is_loopback(host) or token):
            print("hemiface: whoever reaches this machine may ask; set a token with --token-file.",
                  file=sys.stderr)  # fmt: skip
        address = address_of(listening)

        def ready() -> None:
            say(f"{address}  {'the page' if with_page else 'REST alone'}")
            say(f"{address}/docs  REST, to be tried")
            say("Ctrl-C ends it.")
            sys.stdout.flush()

        service = create_app(predictor, options)
        run(service, listening, ready, service.state.refuse_waiting)


def _start_of_page(model: str, hide: str, mix: str, abstain_below: float | None) -> "PageStart":
    """Return how the page begins; say which of the service's options it can't begin with."""
    from hemiface.models import shipped
    from hemiface.models.class_mix import MIXES
    from hemiface.serve.page import PageStart

    has_model = model in [one.name for one in shipped.list_models()]
    others = {
        "--model": "" if has_model else model, "--hide": hide, "--mix": "" if mix in MIXES else mix
    }  # fmt: skip
    if named := ", ".join(f"{option} {one}" for option, one in others.items() if one):
        print(f"hemiface: for REST alone, not for the page: {escaped(named)}.", file=sys.stderr)
    return PageStart(
        model=model if has_model else None,
        mix=mix if mix in MIXES else MIXES[0],
        abstain_below=abstain_below,
    )


@app.command()
def page(
    out: Annotated[Path, typer.Option(help="Folder of the page.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Shipped model to offer, the first one at once; default all."),
    ] = None,
) -> None:
    """Write the page that predicts in the browser, as static files for any web host."""
    require_extra("serve")
    from hemiface.serve.page import write_page

    say(write_page(out, models=model or None))
    print(
        "Put the folder on any web host, or look at it here: "
        f"python -m http.server --directory {escaped(str(out))}"
    )
