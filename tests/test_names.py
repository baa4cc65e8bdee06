"""No two modules and no two public things have one name, so that a name says what is meant."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("sweep", "analysis", "leaksweep")
COMMANDS = ROOT / "sweep" / "cli"  # named as they are typed
MIGRATIONS = ROOT / "sweep" / "store" / "migrations"  # Alembic says what is in one
NOT_NAMED_BY_US = {"__init__", "__main__"}

_FRONT_DOOR = "what people import of the module of that name in sweep/"
_OF_EACH = "one in each module of a family, which a table gathers"

SHARED_MODULES = {
    "lightning": _FRONT_DOOR,
    "transformers": _FRONT_DOOR,
}
"""Names that more than one module has, with the reason."""

SHARED_NAMES = {
    "ROWS": _OF_EACH,
    "WatchLeaks": "what people add to their training, one for each framework",
    "logger": "what a module's logger is called everywhere",
}
"""Names that more than one public class, function or constant has, with the reason."""


def modules():
    """Every module that is named by us."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            named_by_us = path.stem not in NOT_NAMED_BY_US and MIGRATIONS not in path.parents
            if named_by_us and path.parent != COMMANDS:
                yield path


def public_names(path):
    """The classes, functions and constants that the module makes at its top, without ``_``."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                names = [name]
            case ast.Assign(targets=targets):
                names = [each.id for each in targets if isinstance(each, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if not name.startswith("_"))


def shared(pairs):
    """The names that come more than once, each with where."""
    places = defaultdict(list)
    for name, path in pairs:
        places[name].append(str(path.relative_to(ROOT)))
    return {name: where for name, where in places.items() if len(where) > 1}


def test_no_two_modules_have_one_name():
    found = shared((path.stem, path) for path in modules())
    assert {n: where for n, where in found.items() if n not in SHARED_MODULES} == {}


def test_no_two_public_things_have_one_name():
    found = shared((name, path) for path in modules() for name in public_names(path))
    assert {n: where for n, where in found.items() if n not in SHARED_NAMES} == {}


def test_what_is_shared_with_a_reason_is_still_shared():
    of_modules = shared((path.stem, path) for path in modules())
    of_things = shared((name, path) for path in modules() for name in public_names(path))
    assert set(SHARED_MODULES) - set(of_modules) == set()
    assert set(SHARED_NAMES) - set(of_things) == set()
