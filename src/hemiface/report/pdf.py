"""The report as PDF, for print and for supplements."""

import logging
from pathlib import Path

from hemiface.errors import HemifaceError
from hemiface.files import atomic_path

__all__ = ["write_pdf"]


def write_pdf(page: Path) -> Path:
    """Write the HTML file `page` as PDF beside it, same name, and return the PDF's path.

    Needs WeasyPrint (hemiface[pdf]) and the Pango library that it draws with.

    Raises:
        HemifaceError: one of the two is missing, or the PDF can't be written.
    """
    try:
        from weasyprint import HTML
    except ImportError as error:
        raise HemifaceError("A PDF needs WeasyPrint: pip install 'hemiface[pdf]'.") from error
    except OSError as error:
        raise HemifaceError(
            "A PDF needs the Pango library, which pip doesn't bring (Debian: apt install "
            f"libpango-1.0-0 libpangoft2-1.0-0): {error}."
        ) from error
    # It reports each CSS property that only browsers know.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    target = page.with_suffix(".pdf")
    with atomic_path(target) as partial:
        HTML(filename=str(page)).write_pdf(partial)
    return target
