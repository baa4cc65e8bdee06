"""Makes docs/queries.md, the questions that `leaksweep serve` has ready, from their declaration.

Usage: python docs/make_queries.py
"""

from __future__ import annotations

from pathlib import Path

from sweep.serve.metadata import QUERIES, CannedQuery

PAGE = Path(__file__).with_name("queries.md")
INTRODUCTION = """# Questions to the database

What `leaksweep serve` has ready, each with the SQL behind it. Made by `make docs` from
`sweep/serve/metadata.py`; do not edit.

The SQL is SQLite's. A name with a colon is a parameter that the page asks for; in
`leaksweep sql`, put a text in its place, such as `'Adam'` or `''` for none. Tables, views and
columns are described by `leaksweep show schema`.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_section(query) for query in QUERIES)])


def _section(query: CannedQuery) -> str:
    address = f"`/results/{query.name}`"
    if query.parameters:
        address += ", parameter " + ", ".join(f"`{name}`" for name in query.parameters)
    return f"## {query.question}\n\n{query.meaning}\n\n{address}\n\n```sql\n{query.sql}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
