"""The report as PDF, for print and for supplements."""

import logging
import re
from pathlib import Path

from hemiface.errors import HemifaceError
from hemiface.files import atomic_path

__all__ = ["require_weasyprint", "write_pdf"]

_LINK_TO_FILE = re.compile(r'(?<=<a )href="(?!#|[a-z]+:)[^"]*"')


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

    Links to files beside the page are left out: a PDF goes elsewhere alone, and would name folders
    of the machine that made it.

    Raises:
        HemifaceError: as `require_weasyprint`, or the PDF can't be written.
    """
    require_weasyprint()
    from weasyprint import DEFAULT_OPTIONS, HTML

    # It reports each CSS property that only browsers know.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    target = page.with_suffix(".pdf")
    text = _LINK_TO_FILE.sub("", page.read_text(encoding="utf-8"))
    # Read aloud a PDF needs tags; older versions write none.
    tags = {"pdf_tags": True} if "pdf_tags" in DEFAULT_OPTIONS else {}
    with atomic_path(target) as partial:
        HTML(string=text).write_pdf(partial, **tags)
    return target
