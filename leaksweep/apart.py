"""Our packages under names that nobody else has: ``leaksweep.apart.sweep`` for ``sweep``.

Imported only where somebody else's file has the name of one of them (`leaksweep.own`). The
files are the same, and say ``from sweep.errors import ...`` as ever: what that means is decided
by the ``__import__`` that a module is given along with its other builtins, and a module that is
loaded here is given one which looks among our packages first. Theirs is left as it is. Classes
know themselves by the new names, so that they pickle into other processes.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

from leaksweep.own import PACKAGES, ROOT

__path__: list[str] = []  # makes a package of this module; `_Finder` says what is in it


def renamed(name: str) -> str:
    """What the module ``name`` is called here; the front door's own keep their names."""
    return f"{__name__}.{name}" if name.partition(".")[0] in PACKAGES else name


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002  # the names are Python's
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """What Python's own ``__import__`` does, but that our packages' names mean ours."""
    if level or renamed(name) == name:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = import_module(renamed(name))
    if fromlist:
        return builtins.__import__(module.__name__, globals, locals, fromlist, 0)
    return sys.modules[renamed(name.partition(".")[0])]


_BUILTINS = {**vars(builtins), "__import__": _import}


class _Loader(SourceFileLoader):
    """Python's own loader of source files, for modules that import by `_import`."""

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__builtins__"] = _BUILTINS
        super().exec_module(module)


class _Finder(MetaPathFinder):
    """Finds what is under this module, and the modules of the front door."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("leaksweep."):
            return None
        if fullname.removeprefix(f"{__name__}.") in PACKAGES:
            path = [str(ROOT)]
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


sys.meta_path.insert(0, _Finder())
