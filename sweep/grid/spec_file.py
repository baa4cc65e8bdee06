"""Where specs come from: a file, a preset, a text; and what the command line puts on top."""

from __future__ import annotations

import os.path
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from sweep.errors import MisuseError, SpecError, UnknownNameError
from sweep.grid.complaint import shown, unknown
from sweep.grid.spec import Spec
from sweep.values.axes import AxisFacts
from sweep.values.setting import AXIS_FACTS, MAX_TEXT
from sweep.values.words import Axis

PRESETS = ("article", "full", "remedies", "atlas", "cost")
"""The sweeps that come with the program, to run or to copy and edit; one to begin with first."""

MAX_BYTES = 1_000_000
_OPTIONS = ("steps", "workload", "name")  # keys of a spec that the command line has options for


def chosen_spec(
    spec: str | Path | Mapping[str, Any] | None, preset: str | None, default: str
) -> Spec:
    """The spec at a path or in a mapping, or the preset, or the preset ``default``.

    Raises MisuseError where both are given, and SpecError for what does not hold together.
    """
    if spec is None:
        return load_preset(preset or default)
    if preset is not None:
        which = f"({spec}) and a preset ({preset})"
        if isinstance(spec, Mapping):
            which = f"and the preset {preset!r}"
        raise MisuseError(
            f"Both a spec {which} were given; give one. To change a preset, copy it: "
            f"`leaksweep show presets {preset} > mine.toml`."
        )
    if isinstance(spec, Mapping):
        return Spec.checked({"name": "spec", **spec}, "spec")
    return load_spec(spec)


def load_spec(path: Path | str) -> Spec:
    """The spec in the TOML file at ``path``, named after the file unless it has a name.

    Raises SpecError for a file that cannot be read, is over 1 MB, or does not hold together.
    """
    path = Path(path)
    where = str(path) if str(path).isprintable() else repr(str(path))
    return from_toml(_read(path, where), source=where, name=path.stem)


def load_preset(name: str) -> Spec:
    """The preset ``name``. Raises UnknownNameError, with the nearest."""
    return from_toml(preset_text(name), source=f"preset {name}", name=name)


def preset_text(name: str) -> str:
    """The TOML text of the preset ``name``. Raises UnknownNameError, with the nearest."""
    if name not in PRESETS:
        raise UnknownNameError("preset", name, PRESETS)
    return (resources.files(__package__) / "presets" / f"{name}.toml").read_text(encoding="utf-8")


def described_presets() -> Mapping[str, str]:
    """What each preset is, in a line, by name; torch is not imported."""
    return {name: tomllib.loads(preset_text(name))["description"] for name in PRESETS}


def from_toml(text: str, *, source: str, name: str) -> Spec:
    """The spec that ``text`` holds; ``name`` is the sweep's unless the text has one.

    Raises SpecError; ``source`` is what its message names.
    """
    if not text.strip():
        raise SpecError(
            'The spec is empty. It needs a [[grid]] with at least optimizer = ["SGD"]; '
            "`leaksweep show presets` shows some to start from.",
            where=source,
        )
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "nested too deeply"
        if len(reason) > MAX_TEXT:  # it quotes a key
            reason = f"{reason[:MAX_TEXT]}..."
        raise SpecError(f"Not TOML: {reason}.", where=source) from error
    return Spec.checked({"name": name, **raw}, source)


def with_overrides(
    spec: Spec,
    *,
    set: Sequence[str] = (),  # noqa: A002  # named as the option is
    workload: str | None = None,
    steps: int | None = None,
    name: str | None = None,
    trace: bool | None = None,
) -> Spec:
    """``spec`` with each ``AXIS=V1,V2`` of ``set`` replacing that axis in every grid.

    Where the optimizers are replaced, options of those no longer in the grid are dropped.
    Raises SpecError, naming the option, for what does not fit.
    """
    keys = {"workload": workload, "steps": steps, "name": name, "trace": trace}
    given: dict[str, Any] = {key: value for key, value in keys.items() if value is not None}
    axes = _parse_axes(set)
    if not given and not axes:
        return spec
    raw = spec.model_dump(by_alias=True, exclude_unset=True) | given
    raw["grid"] = [grid | axes for grid in raw["grid"]]
    try:  # the first grid alone, too: what was said once is complained of once
        Spec.checked({**raw, "grid": raw["grid"][:1], "options": {}}, spec.source)
        names = Spec.checked({**raw, "options": {}}, spec.source).optimizers
        raw["options"] = {n: options for n, options in spec.options.items() if n in names}
        return Spec.checked(raw, spec.source)
    except SpecError as error:
        raise _blaming_the_option(error, given, axes) from error


def _blaming_the_option(
    error: SpecError, given: Mapping[str, Any], axes: Mapping[str, Any]
) -> SpecError:
    """``error`` as the option's fault: the spec held together before."""
    key = error.key.rpartition(".")[2]
    if key in axes:
        return SpecError(error.message, where="--set", key=key)
    if key in given:
        return SpecError(error.message, where=f"--{key}")
    options = ["--set"] * bool(axes) + [f"--{name}" for name in given]
    return SpecError(error.message, where=" ".join(options), key=error.key)


def _parse_axes(assignments: Sequence[str]) -> dict[str, list[Any]]:
    axes: dict[str, list[Any]] = {}
    for assignment in assignments:
        axis, equals, values = assignment.partition("=")
        axis = axis.strip()
        if not equals:
            raise SpecError(f"needs AXIS=V1,V2; {shown(assignment)} came.", where="--set")
        facts = _facts(axis, values)
        if axis in axes:
            raise SpecError("is given twice; join the values by a comma.", where="--set", key=axis)
        texts = [text.strip() for text in values.split(",")]
        if "" in texts and texts != [""]:
            place = f"{shown(values)} has an empty value"
            raise SpecError(f"{place}; give {facts.wanted}.", where="--set", key=axis)
        axes[axis] = [facts.parsed(text) for text in texts if text]
    return axes


def _facts(axis: str, values: str) -> AxisFacts:
    """What is known of the axis. Raises SpecError, with the option that is meant, for another."""
    for facts in AXIS_FACTS:
        if facts.axis == axis:
            return facts
    if axis in _OPTIONS:
        option = f"--{axis} {shown(values.strip())[1:-1]}".rstrip()
        raise SpecError(f"{axis} is no axis but an option of its own: {option}.", where="--set")
    raise SpecError(unknown("axis", axis, Axis), where="--set")


def _read(path: Path, where: str) -> str:
    """The text of the file. Raises SpecError where it is none, or too large to be a spec."""
    if os.path.isdir(path):  # unlike Path's, it takes any text for a path
        raise SpecError("is a directory; a spec is a TOML file.", where=where)
    if not os.path.isfile(path):
        preset = path.stem in PRESETS
        hint = f" `--preset {path.stem}` runs the preset of that name." if preset else ""
        raise SpecError(f"There is no such file.{hint}", where=where)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}.", where=where) from error
    if len(content) > MAX_BYTES:
        size = max(len(content), path.stat().st_size)
        raise SpecError(f"has {size:,} bytes; a spec may have {MAX_BYTES:,}.", where=where)
    try:
        return content.decode("utf-8-sig")  # an editor may have put a byte order mark
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 (byte {error.start}); a spec is a TOML file."
        raise SpecError(message, where=where) from error
