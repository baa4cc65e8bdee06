"""The report as one HTML file that opens without a network.

Owns the file's making: the template is filled with what `analysis.report.content` gathered,
and the libraries that draw are written into the page, once. All text is escaped by the
template, figures are JSON in which no tag can end. The page's policy lets it run nothing
but its own two scripts, told by their hashes, and fetch nothing at all; Vega runs its
expressions by interpreter, as the policy forbids `eval`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from analysis.export import whole_file
from analysis.report.content import Section, sections
from analysis.schema import in_order

_EXPORTS = "window.vegaEmbed = vegaEmbed"
_VISIBLE_CONTROLS = {code: f"\\x{code:02x}" for code in range(0x20) if chr(code) not in "\t\n\r"}
_SCRIPT_UNSAFE = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def report(url: str, out: str | os.PathLike[str], *, sweep: str | None = None) -> Path:
    """The file written: the report of one sweep, or of all in the database.

    Makes the file's folder where it is missing, and replaces the file in one step. Raises
    NoTrialsError where nothing was recorded, and what `analysis.load.load_trials` raises.
    """
    path, text = Path(out), page(sections(url, sweep))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    return path


def page(made: list[Section]) -> str:
    """The whole page as text."""
    figures = {
        f"{place}-{figure.name}": figure.spec
        for place, section in enumerate(made)
        for figure in filter(None, (section.answer, *section.figures))
    }
    libraries, script = _libraries(), _own("page.js")
    environment = Environment(
        loader=PackageLoader("analysis.report", "."),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2").render(
        sections=made,
        optimizers=in_order("optimizer", [name for each in made for name in each.optimizers]),
        style=Markup(_own("page.css")),  # noqa: S704 - this package's own files
        libraries=Markup(libraries),  # noqa: S704
        script=Markup(script),  # noqa: S704
        figures=script_json(figures),
        policy=_policy(libraries, script),
    )


def script_json(value: Mapping[str, Any]) -> Markup:
    r"""``value`` as JSON that can stand in a script element, whatever its strings hold.

    >>> print(script_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.translate(_SCRIPT_UNSAFE))  # noqa: S704 - no tag is left in it


def _visible(value: object) -> object:
    """A text of the results with control characters written out: a page is printed, too.

    The scripts are left as they are, since the policy has their digests.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return value.translate(_VISIBLE_CONTROLS)


def _policy(*scripts: str) -> str:
    """The content security policy: these scripts, inline styles, and nothing from anywhere."""
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        f"base-uri 'none'; form-action 'none'"
    )


@cache
def _libraries() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; nothing in it ends the script element."""
    text = vl_convert.javascript_bundle(_EXPORTS)
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _own(name: str) -> str:
    return resources.files("analysis.report").joinpath(name).read_text(encoding="utf-8")
