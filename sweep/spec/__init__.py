"""What did the user ask for? A spec: read from TOML, checked, overridden from the command line.

`model` has the values, `load` the sources and overrides, `complaint` the messages. Which
settings a spec comes to is `sweep.grid`'s.
"""

from sweep.spec.load import from_toml, load_preset, load_spec, with_overrides
from sweep.spec.model import GridSpec, Spec

__all__ = [
    "GridSpec",
    "Spec",
    "from_toml",
    "load_preset",
    "load_spec",
    "with_overrides",
]
