"""The page of the configs that come along, each as it is."""

from hemiface import config
from repository import Pages

__all__ = ["config_page"]


def config_page() -> Pages:
    """Return the page by its URI; each config has its name as heading and anchor."""
    known = config.shipped()
    rows = [f"| [`{name}`](#{name}) | {config.summary(path)} |" for name, path in known.items()]
    parts = [
        "# Configs",
        "A study's or a training's options are one TOML file. These come along by name "
        "(`hemiface study NAME`); `hemiface configs NAME` prints one to start from, and `--set "
        "train.epochs=10` overrides any key. What a key means: "
        "[Config](python/studies-data-networks-reports.md) and the classes that it holds, under "
        "[what these hand back](python/what-these-hand-back.md).",
        "\n".join(["| name | what |", "|---|---|", *rows]),
    ]
    for name, path in known.items():
        parts.append(f"## {name} {{: #{name} }}\n\n```toml\n{path.read_text(encoding='utf-8')}```")
    return {"reference/configs.md": "\n\n".join(parts) + "\n"}
