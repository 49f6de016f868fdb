"""Commands about the network that says what of a face is visible: train it, evaluate it."""

from pathlib import Path
from typing import Annotated

import typer

from hemiface.cli.apps import visibility_app
from hemiface.cli.options import DataOption, JsonOption, SetOption
from hemiface.cli.printing import print_json, records, say
from hemiface.cli.reading import require_extra
from hemiface.errors import UsageError

__all__ = ["visibility_evaluate", "visibility_train"]


@visibility_app.command("train")
def visibility_train(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the network, history and checkpoint.")],
    config: Annotated[Path | None, typer.Option(help="TOML file; default: as shipped.")] = None,
    real: Annotated[
        Path | None,
        typer.Option(
            help="CSV with columns `row` and `covers` (eyes, mouth or nothing): what a real thing "
            "covers in rows of fer2013.csv; of them the training images are learnt from."
        ),
    ] = None,
    settings: SetOption = None,
    max_epochs: Annotated[int | None, typer.Option(help="End it early.", min=1)] = None,
    threads: Annotated[int, typer.Option(help="Of the computation.", min=1)] = 1,
) -> None:
    """Train the network on faces under drawn occluders; the same command goes on if stopped."""
    require_extra("train")
    import logging

    import cv2
    import torch

    from hemiface.config import load_as, to_toml
    from hemiface.data.readers import load
    from hemiface.documents import read_text
    from hemiface.files import write_json, write_text
    from hemiface.inputs import require_apart
    from hemiface.provenance import environment
    from hemiface.visibility.train import VisibilityConfig, train

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    chosen = load_as(VisibilityConfig, config, settings or ())
    if config is not None and to_toml(chosen) != read_text(config):
        require_apart([config], [out / "config.toml"])
    path = train(load(data), chosen, out, max_epochs=max_epochs, real=real)
    write_text(out / "config.toml", to_toml(chosen))
    write_json(out / "environment.json", environment())
    say(path)


@visibility_app.command("evaluate")
def visibility_evaluate(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of scores.csv, table.md and what made them.")],
    model: Annotated[
        str, typer.Option(help="A file of hemiface visibility train; default the shipped one.")
    ] = "",
    occluded: Annotated[
        Path | None,
        typer.Option(help="CSV whose column `row` names really occluded rows of fer2013.csv."),
    ] = None,
    draws: Annotated[int, typer.Option(help="Bootstrap draws.", min=2)] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Score the network on test images under seen and held-out occluders, and on real ones.

    Intervals count near duplicates as one where --data is a run folder, exact copies elsewhere.
    """
    from hemiface.config import to_toml
    from hemiface.data.readers import load
    from hemiface.files import sha256_file, write_json, write_text
    from hemiface.models import shipped
    from hemiface.models.visible_tiles import VisibleTiles
    from hemiface.provenance import environment
    from hemiface.tables import write_csv
    from hemiface.visibility.score import format_scores, read_occluded, score

    if (out / "history.csv").exists():
        raise UsageError(f"{out} is a training's folder, whose files stay; name another --out.")
    network = VisibleTiles.load(model or shipped.path_of("visibility"))
    images = load(data)
    rows = read_occluded(occluded) if occluded else ()
    scores = score(network, images, occluded=rows, draws=draws)
    known = environment()
    known["model_sha256"] = sha256_file(network.path)
    known["model"] = dict(network.header)
    known["data"] = {key: images.info[key] for key in ("source_sha256", "data_sha256")}
    known["occluded_sha256"] = sha256_file(occluded) if occluded else ""
    write_csv(scores, out / "scores.csv")
    write_text(out / "table.md", format_scores(scores) + "\n")
    write_text(out / "config.toml", to_toml(network.header["config"]))
    write_json(out / "environment.json", known)
    if as_json:
        print_json({"out": str(out), "scores": records(scores)})
    else:
        say(format_scores(scores))
        say(out / "scores.csv")
