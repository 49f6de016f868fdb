"""The report as PDF, for print and for supplements."""

import logging
from pathlib import Path

from hemiface.errors import HemifaceError
from hemiface.files import atomic_path

__all__ = ["require_weasyprint", "write_pdf"]


def require_weasyprint() -> None:
    """Say whether a PDF can be written, before a page is built for it.

    Raises:
        HemifaceError: WeasyPrint (hemiface[pdf]) or Pango, with which it draws, is missing.
    """
    try:
        import weasyprint  # noqa: F401
    except ImportError as error:
        raise HemifaceError("A PDF needs WeasyPrint: pip install 'hemiface[pdf]'.") from error
    except OSError as error:
        raise HemifaceError(
            "A PDF needs the Pango library, which pip doesn't bring (Debian: apt install "
            f"libpango-1.0-0 libpangoft2-1.0-0): {error}."
        ) from error


def write_pdf(page: Path) -> Path:
    """Write the HTML file `page` as PDF beside it, same name, and return the PDF's path.

    Raises:
        HemifaceError: as `require_weasyprint`, or the PDF can't be written.
    """
    require_weasyprint()
    from weasyprint import HTML

    # It reports each CSS property that only browsers know.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    target = page.with_suffix(".pdf")
    with atomic_path(target) as partial:
        HTML(filename=str(page)).write_pdf(partial)
    return target
