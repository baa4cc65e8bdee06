import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweep.errors import SpecError, UnknownNameError
from sweep.grid import complaint, spec
from sweep.grid.spec import Spec
from sweep.grid.spec_file import PRESETS, from_toml, load_preset, load_spec, with_overrides
from sweep.optimizers import registry
from sweep.values.words import Axis, Freeze, ZeroGrad

SGD = '[[grid]]\noptimizer = ["SGD"]\n'


def parsed(text):
    return from_toml(text, source="mine.toml", name="mine")


def refusal_of(call):
    """The message of the SpecError that ``call`` raises; None if it raises nothing."""
    try:
        call()
    except SpecError as error:
        return str(error)
    return None


def test_axes_left_out_have_their_defaults():
    spec = parsed(SGD)
    (grid,) = spec.grid
    assert (spec.name, spec.workload, spec.steps, spec.trace) == ("mine", "article", 100, False)
    assert {axis: grid.values(axis) for axis in Axis} == {
        "optimizer": ("SGD",),
        "lr": None,
        "weight_decay": (0.0,),
        "momentum": None,
        "zero_grad": tuple(ZeroGrad),
        "schedule": ("alternate",),
        "freeze": (Freeze.DETACH,),
        "seed": (0,),
    }


def test_a_full_spec_is_read_as_written():
    spec = parsed(
        'name = "all"\nworkload = "small"\nsteps = 12\ntrace = true\ndescription = "d"\n'
        '[[grid]]\noptimizer = ["SGD", "Adam"]\nlr = [1.0, 0.01]\nweight_decay = [0.0, 0.5]\n'
        'momentum = [0.0, 0.9]\nzero_grad = ["zero"]\nschedule = ["every:3", "after:5"]\n'
        'freeze = ["grad_none"]\nseed = [0, 1, 2]\n[options.Adam]\namsgrad = true\n'
        '"betas[1]" = 0.99\n'
    )
    (grid,) = spec.grid
    assert (spec.name, spec.workload, spec.steps, spec.trace) == ("all", "small", 12, True)
    assert grid.optimizer == ("SGD", "Adam")
    assert grid.values(Axis.LR) == (1.0, 0.01)
    assert grid.values(Axis.SCHEDULE) == ("every:3", "after:5")
    assert grid.values(Axis.FREEZE) == (Freeze.GRAD_NONE,)
    assert spec.options == {"Adam": {"amsgrad": True, "betas[1]": 0.99}}


@pytest.mark.parametrize(
    ("axis", "written", "values"),
    [
        ("lr", "[1, 1.0, 0.1, 1]", (1.0, 0.1)),
        ("weight_decay", "[-0.0, 0, 0.0]", (0.0,)),
        ("schedule", '["every:2", "alternate", "after:0"]', ("alternate", "always")),
        ("zero_grad", '["zero", "zero"]', (ZeroGrad.ZERO,)),
        ("seed", "[3, 3, 1]", (3, 1)),
    ],
)
def test_values_that_mean_the_same_are_one_value(axis, written, values):
    found = getattr(parsed(f"{SGD}{axis} = {written}").grid[0], axis)
    assert found == values
    assert repr(found) == repr(values)  # neither 1 for 1.0 nor -0.0 for 0.0


@pytest.mark.parametrize(
    ("workload", "steps"), [("article", 100), ("small", 20), ("mine.models:make", 100)]
)
def test_steps_left_out_are_the_workload_s_own(workload, steps):
    assert parsed(f'workload = "{workload}"\n{SGD}').steps == steps


def test_patterns_become_the_names_that_match_in_the_registry_s_order():
    assert parsed('[[grid]]\noptimizer = ["*"]').grid[0].optimizer == registry.names()
    names = parsed('[[grid]]\noptimizer = ["SGD", "Ada[mg]*"]').grid[0].optimizer
    assert names[:5] == ("SGD", "Adam", "AdamW", "Adamax", "Adagrad")


GRID = "[[grid]]\n"
BAD = [
    ("", "mine.toml: The spec is empty. It needs a [[grid]]"),
    ("a", "mine.toml: Not TOML: Expected '=' after a key"),
    ("a = 1\nb = ?", "Not TOML: Invalid value (at line 2, column 5)."),
    (f"{SGD}x = {'[' * 5000}", "Not TOML: nested too deeply."),
    (f"{SGD}lr = [{'9' * 5000}]", "Not TOML: Exceeds the limit"),
    ("k" * 5000, "Not TOML: "),
    (f"lrr = 1\n{SGD}", "mine.toml, lrr: Unknown key 'lrr'. Valid: name, description, workload"),
    (f"trce = true\n{SGD}", "trce: Unknown key 'trce'. Did you mean trace?"),
    (f'"\\u001b[1m" = 1\n{SGD}', r"mine.toml, '\x1b[1m': Unknown key '\x1b[1m'."),
    ("name = 'a'", "mine.toml, grid: grid is missing. It needs one table for each grid"),
    ("grid = []", "grid: grid needs one table for each grid, headed [[grid]]"),
    ("[grid]\noptimizer = ['SGD']", "is not a list."),
    ("grid = [1]", "grid[0]: grid needs one table for each grid"),
    (f"{SGD}{GRID}", "grid[1].optimizer: optimizer is missing. It needs names, such as"),
    (f"{GRID}optimizer = {{a = 1}}", "grid[0].optimizer: optimizer needs names, such as"),
    (f"{GRID}optimizer = [1]", "1 is an integer."),
    (f"{GRID}optimizer = []", "grid[0].optimizer: optimizer needs names, such as optimizer = "),
    (f"{GRID}optimizer = ['Adma']", "grid[0].optimizer: Unknown optimizer 'Adma'. Did you mean Ad"),
    (f"{SGD}{GRID}optimizer = ['sdg']", "grid[1].optimizer: Unknown optimizer 'sdg'. Did you mean"),
    (f"{GRID}optimizer = ['Adma', 'SGDD']", "And in grid[0].optimizer: Unknown optimizer 'SGDD'."),
    (f"{GRID}optimizer = ['no_*']", "No optimizer matches the pattern 'no_*'."),
    (f"{GRID}optimizer = ['a b:C']", "'a b:C' is not of the form package.module:Class."),
    (f"{GRID}optimizer = ['no_such_package:C']", "no_such_package is not installed"),
    (f"{GRID}optimizer = ['os:path']", "os:path is no optimizer"),
    (f"{GRID}optimizer = ['{'x' * 300}']", "is longer than 200 characters."),
    (f"{SGD}lrr = [1]", "grid[0].lrr: Unknown key 'lrr'. Did you mean lr? Valid: optimizer, lr, "),
    (f"{SGD}lr = []", "grid[0].lr: lr needs numbers >= 0, such as lr = [1.0, 0.01]; it is empty."),
    (f"{SGD}lr = {{}}", "grid[0].lr: lr needs numbers >= 0, such as lr = [1.0, 0.01]; {} is not"),
    (f"{SGD}lr = -1", "grid[0].lr: lr needs numbers >= 0, such as lr = [1.0, 0.01]; -1 is below"),
    (f"{SGD}lr = [-1]", "grid[0].lr: lr needs numbers >= 0, such as lr = [1.0, 0.01]; -1 is below"),
    (f"{SGD}lr = [true]", "True is a boolean."),
    (f"{SGD}lr = ['0.1']", "'0.1' is a text."),
    (f"{SGD}lr = [nan]", "nan is not finite."),
    (f"{SGD}lr = [inf]", "inf is not finite."),
    (f"{SGD}lr = [{'9' * 400}]", "is too large."),
    (f"{SGD}lr = [[1]]", "[1] is a list."),
    (f"{SGD}lr = [1979-05-27]", "is a date."),
    (f"{SGD}weight_decay = [-0.5]", "grid[0].weight_decay: weight_decay needs numbers >= 0, such"),
    (f"{SGD}zero_grad = ['nnoe']", "zero_grad: Unknown zero_grad 'nnoe'. Did you mean none? Valid"),
    (f"{SGD}zero_grad = [1]", "Unknown zero_grad 1. Valid: none, zero, never."),
    (f"{SGD}freeze = ['detatch']", "freeze: Unknown freeze 'detatch'. Did you mean detach? Valid"),
    (f"{SGD}schedule = ['altrenate']", "schedule: Unknown schedule 'altrenate'. Did you mean alte"),
    (f"{SGD}schedule = ['every=3']", "Did you mean every:N"),
    (f"{SGD}schedule = ['after:-1']", "Did you mean after:K"),
    (f"{SGD}schedule = ['after:100']", "grid[0].schedule: 'after:100' freezes nothing when steps"),
    (f"steps = 1\n{SGD}", "grid[0].schedule: 'alternate' freezes nothing when steps = 1."),
    (f"{SGD}seed = [-1]", "seed needs whole numbers >= 0, such as seed = [0, 1, 2]; -1 is below 0"),
    (f"{SGD}seed = [1.0]", "1.0 is a float."),
    (f"{SGD}seed = [true]", "True is a boolean."),
    (f"{SGD}seed = [{2**63}]", "is above 9,223,372,036,854,775,807."),
    (f"{GRID}optimizer = ['SGD', 'Adam']\nmomentum = [0.9, 1.5]",
     "mine.toml, grid[0].momentum: Adam takes a momentum (betas[0]) below 1, not 1.5."),
    (f"{GRID}optimizer = ['Adam']\nmomentum = [1]", "below 1, not 1."),
    (f"steps = 0\n{SGD}", "mine.toml, steps: steps needs a whole number >= 1, such as steps = 100"),
    (f"steps = true\n{SGD}", "True is a boolean."),
    (f"steps = 1.5\n{SGD}", "1.5 is a float."),
    (f"steps = 1000001\n{SGD}", "1000001 is above 1,000,000."),
    (f"trace = 1\n{SGD}", "trace: trace needs true or false; 1 is an integer."),
    (f"name = ''\n{SGD}", "name: name needs a text, such as name = \"mine\"; it is empty."),
    (f'name = "a\\nb"\n{SGD}', r"name: 'a\nb' has characters that do not print."),
    (f"workload = 'smal'\n{SGD}", "workload: Unknown workload 'smal'. Did you mean small? Your o"),
    (f"workload = 'a b:c'\n{SGD}", "Your own is `package.module:function`."),
    (f"options = 1\n{SGD}", "options: options needs one table for each optimizer, such as"),
    (f"{SGD}[options]\nSGD = 1", "options.SGD: options needs one table for each optimizer"),
    (f"{SGD}[options.Adam]\neps = 1", "options.Adam: Unknown optimizer 'Adam'. Valid: SGD. No gri"),
    (f"{SGD}[options.SGD]\nnestrov = true", "options.SGD.nestrov: SGD takes no argument 'nestrov'"),
    (f"{SGD}[options.SGD]\nmomentum = 1", "options.SGD.momentum: momentum of SGD is the axis mom"),
    (f"{SGD}[options.SGD]\nnesterov = nan", "options.SGD.nesterov: nan cannot be recorded."),
    (f"{SGD}[options.SGD]\nnesterov = 1979-05-27", "datetime.date(1979, 5, 27) cannot be recorded"),
    (f"{SGD}[options.SGD]\nfoo = {'[' * 9}{']' * 9}", "options.SGD.foo: [[[[[[[[[]]]]]]]]] cannot"),
    (f"{SGD}[options.SGD]\nnesterov = true\n[options.sgd]\nnesterov = true", "named twice"),
    (SGD * 1001, "there are more than 1000."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message[:40] for _, message in BAD])
def test_a_bad_spec_gets_one_message_that_names_file_and_key(text, message):
    with pytest.raises(SpecError) as raised:
        parsed(text)
    assert message in str(raised.value)
    assert str(raised.value).startswith("mine.toml")
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


def test_an_optimizer_is_found_whatever_its_case():
    spec = parsed(
        '[[grid]]\noptimizer = ["sgd", "ADAM", "Adam", "adamW*"]\n[options.adam]\namsgrad = true'
    )
    assert spec.optimizers == ("SGD", "Adam", "AdamW")
    assert spec.options == {"Adam": {"amsgrad": True}}


def test_options_of_one_optimizer_in_two_cases_are_refused():
    with pytest.raises(SpecError, match="named twice, in different cases"):
        parsed(f"{SGD}[options.SGD]\nnesterov = true\n[options.sgd]\nnesterov = false")


def test_an_unquoted_name_with_a_dot_is_told_to_be_quoted(monkeypatch):
    row = registry.lookup("SGD")
    monkeypatch.setattr(registry, "lookup", lambda name: replace(row, name="zoo.sgd"))
    with pytest.raises(SpecError, match=r'is quoted: \[options\."zoo\.sgd"\]'):
        parsed('[[grid]]\noptimizer = ["zoo.sgd"]\n[options.zoo.sgd]\nfoo = 1')


def test_every_complaint_is_told_with_its_key():
    with pytest.raises(SpecError) as caught:
        parsed(f"{SGD}lr = [-1]\nseed = [-1, -2]\nfreez = []")
    assert str(caught.value) == (
        "mine.toml, grid[0].lr: lr needs numbers >= 0, such as lr = [1.0, 0.01]; -1 is below 0. "
        "And in grid[0].seed: seed needs whole numbers >= 0, such as seed = [0, 1, 2]; -1 is below "
        "0. And in grid[0].seed: seed needs whole numbers >= 0, such as seed = [0, 1, 2]; -2 is "
        "below 0. And in grid[0].freez: Unknown key 'freez'. Did you mean freeze? Valid: "
        "optimizer, lr, weight_decay, momentum, zero_grad, schedule, freeze, seed."
    )


def test_a_message_tells_no_more_than_a_screenful_of_complaints():
    with pytest.raises(SpecError, match=r"And 979 more\.$"):
        parsed(f"{SGD}seed = {list(range(-1000, 0))}")


def test_a_single_value_is_a_list_of_one():
    one = parsed('[[grid]]\noptimizer = "SGD"\nlr = 0.1\nzero_grad = "zero"\nseed = 3')
    assert one == parsed(
        '[[grid]]\noptimizer = ["SGD"]\nlr = [0.1]\nzero_grad = ["zero"]\nseed = [3]'
    )


def test_the_name_of_an_optimizer_is_found_whatever_its_case():
    spec = parsed('[[grid]]\noptimizer = ["sgd", "RMSPROP"]\n[options.rmsprop]\neps = 0.1')
    assert spec.grid[0].optimizer == ("SGD", "RMSprop")
    assert spec.options == {"RMSprop": {"eps": 0.1}}
    assert parsed('[[grid]]\noptimizer = "ada[m]w"').grid[0].optimizer == ("AdamW",)


def test_options_of_an_optimizer_that_cannot_be_built_are_let_be(monkeypatch):
    monkeypatch.setattr(registry, "unavailable", lambda entry: "its package is missing")
    assert parsed(f"{SGD}[options.SGD]\nanything = 1").options == {"SGD": {"anything": 1}}


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ALMOST = JSON_LIKE | st.sampled_from(
    [["SGD"], ["Adam", "x"], [1.0], [0.5, -1], ["detach"], ["after:3"], {"SGD": {"foreach": True}}]
)
GRID_KEYS = st.sampled_from(list(Axis)) | st.text(max_size=6)
SPEC_KEYS = st.sampled_from(["name", "workload", "steps", "trace", "options", "description"])
RAW = st.fixed_dictionaries(
    {"name": st.just("x"), "grid": st.lists(st.dictionaries(GRID_KEYS, ALMOST), max_size=2)}
).flatmap(lambda raw: st.dictionaries(SPEC_KEYS, ALMOST, max_size=2).map(lambda more: raw | more))


@settings(deadline=None, max_examples=400)
@given(RAW | st.dictionaries(st.text(max_size=6) | SPEC_KEYS, ALMOST))
def test_whatever_a_toml_file_holds_is_a_spec_or_one_clear_error(raw):
    message = refusal_of(lambda: Spec.checked(raw, "mine.toml"))
    assert message is None or (message.startswith("mine.toml") and "\n" not in message)


@settings(deadline=None, max_examples=300)
@given(st.text() | st.text(alphabet='[]grid="optmzSD\n.1, '))
def test_whatever_text_is_no_spec_is_one_clear_error(text):
    with pytest.raises(SpecError, match=r"^mine\.toml"):
        parsed(text)


def written(tmp_path, content):
    path = tmp_path / "grid.toml"
    path.write_bytes(content)
    return path


def test_a_file_s_spec_is_named_after_it(tmp_path):
    spec = load_spec(written(tmp_path, SGD.encode()))
    assert (spec.name, spec.source) == ("grid", str(tmp_path / "grid.toml"))


def test_a_byte_order_mark_is_no_fault(tmp_path):
    assert load_spec(written(tmp_path, b"\xef\xbb\xbf" + SGD.encode())).name == "grid"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "grid.toml: The spec is empty"),
        (b"\x00\x01\x02", "grid.toml: Not TOML"),
        (b"a = '\xff'", r"grid.toml: is not UTF-8 \(byte 5\)"),
        (b"#" * 1_000_001, "grid.toml: has 1,000,001 bytes; a spec may have 1,000,000."),
    ],
)
def test_a_file_that_is_no_spec_is_refused_by_name(tmp_path, content, message):
    with pytest.raises(SpecError, match=message):
        load_spec(written(tmp_path, content))


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(SpecError, match="is a directory; a spec is a TOML file"):
        load_spec(tmp_path)


@pytest.mark.parametrize("name", ["missing.toml", "nul\0byte", "x" * 5000])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(SpecError, match="There is no such file"):
        load_spec(tmp_path / name)


def test_a_preset_s_name_given_as_a_file_gets_the_option_for_it(tmp_path):
    with pytest.raises(SpecError, match="`--preset full` runs the preset of that name"):
        load_spec(tmp_path / "full")


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    def denied(*_arguments):
        raise PermissionError(13, "Permission denied")

    path = written(tmp_path, SGD.encode())
    monkeypatch.setattr(type(path), "open", denied)
    with pytest.raises(SpecError, match=r"grid.toml: cannot be read: Permission denied\."):
        load_spec(path)


def test_a_path_that_does_not_print_is_shown_escaped(tmp_path):
    with pytest.raises(SpecError) as raised:
        load_spec(tmp_path / "\x1b[31m")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_s_spec_has_its_name(name):
    spec = load_preset(name)
    assert (spec.name, spec.source) == (name, f"preset {name}")


def test_an_unknown_preset_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match=r"Unknown preset 'atlsa'\. Did you mean atlas"):
        load_preset("atlsa")


def test_no_override_leaves_the_spec_as_it_is():
    spec = load_preset("article")
    assert with_overrides(spec) is spec


def test_set_replaces_the_axis_in_every_grid():
    spec = with_overrides(load_preset("article"), set=["lr = 1, 0.5", "schedule=after:10"])
    assert {grid.values(Axis.LR) for grid in spec.grid} == {(1.0, 0.5)}
    assert {grid.values(Axis.SCHEDULE) for grid in spec.grid} == {("after:10",)}
    assert spec.grid[1].values(Axis.MOMENTUM) == (0.9,)


def test_keys_are_overridden_and_the_rest_stays():
    spec = with_overrides(load_preset("article"), workload="small", steps=30, name="n", trace=False)
    assert (spec.workload, spec.steps, spec.name, spec.trace) == ("small", 30, "n", False)
    assert spec.grid == load_preset("article").grid


@pytest.mark.parametrize(("steps", "after"), [("", 20), ("steps = 50\n", 50)])
def test_steps_follow_another_workload_unless_the_spec_states_them(steps, after):
    assert with_overrides(parsed(steps + SGD), workload="small").steps == after


def test_options_of_optimizers_set_away_are_dropped():
    spec = parsed(f"{SGD}[options.SGD]\nnesterov = true")
    assert with_overrides(spec, set=["optimizer=Adam"]).options == {}
    assert with_overrides(spec, set=["optimizer=Adam,SGD"]).options == spec.options


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"set": ["lr"]}, "--set: needs AXIS=V1,V2; 'lr' came."),
        ({"set": ["lrr=1"]}, "--set: Unknown axis 'lrr'. Did you mean lr? Valid: optimizer, lr,"),
        ({"set": ["lr="]}, "--set, lr: lr needs numbers >= 0, such as lr = [1.0, 0.01]; it is e"),
        ({"set": ["lr=a"]}, "--set, lr: lr needs numbers >= 0, such as lr = [1.0, 0.01]; 'a' is"),
        ({"set": ["lr=nan"]}, "nan is not finite."),
        ({"set": ["lr=-1"]}, "-1.0 is below 0."),
        ({"set": ["seed=1.5"]}, "--set, seed: seed needs whole numbers >= 0"),
        ({"set": ["lr=0.1,,0.2"]}, "--set, lr: '0.1,,0.2' has an empty value; give numbers >= 0, "),
        ({"set": ["lr=0.1,"]}, "--set, lr: '0.1,' has an empty value"),
        ({"set": ["steps=20"]}, "--set: steps is no axis but an option of its own: --steps 20."),
        ({"set": ["workload=small"]}, "an option of its own: --workload small."),
        ({"set": ["lr=1", "lr=2"]}, "--set, lr: is given twice; join the values by a comma."),
        ({"set": ["optimizer=Adma"]}, "--set, optimizer: Unknown optimizer 'Adma'. Did you mean"),
        ({"set": ["momentum=1.5"]}, "--set, momentum: Adam takes a momentum (betas[0]) below 1"),
        ({"set": ["freeze=melt"]}, "--set, freeze: Unknown freeze 'melt'. Valid: detach, "),
        ({"set": ["schedule=after:100"]}, "--set, schedule: 'after:100' freezes nothing when"),
        ({"steps": 0}, "--steps: steps needs a whole number >= 1, such as steps = 100; 0 is bel"),
        ({"steps": 1}, "--steps, grid[0].schedule: 'alternate' freezes nothing when steps = 1."),
        ({"workload": "smal"}, "--workload: Unknown workload 'smal'. Did you mean small?"),
        ({"name": ""}, "--name: name needs a text"),
        ({"set": [f"lr={'9' * 5000}"]}, "inf is not finite."),
        ({"set": [f"seed={'9' * 5000}"]}, "is a text."),
    ],
)
def test_a_bad_override_is_blamed_on_its_option(overrides, message):
    with pytest.raises(SpecError) as raised:
        with_overrides(load_preset("article"), **overrides)
    assert message in str(raised.value)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.builds("{}={}".format, st.sampled_from(list(Axis)), st.text()) | st.text()))
def test_whatever_is_set_is_a_spec_or_one_clear_error(assignments):
    message = refusal_of(lambda: with_overrides(parsed(SGD), set=assignments))
    assert message is None or (message.startswith("--set") and message.isprintable())


def test_reading_a_spec_does_not_import_torch():
    program = (
        "import sys; from sweep.grid.spec_file import load_preset, described_presets;"
        "load_preset('full'); described_presets(); print(json.dumps('torch' in sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", f"import json; {program}"], capture_output=True, check=True
    )
    assert json.loads(found.stdout) is False


def test_what_is_set_for_every_grid_is_complained_of_once():
    with pytest.raises(SpecError) as told:
        with_overrides(load_preset("article"), set=["optimizer=Adm"])
    assert str(told.value).count("Unknown optimizer 'Adm'") == 1
    assert "grid[" not in str(told.value)


def test_the_keys_that_complaints_know_are_those_of_a_spec_in_their_order():
    known = [field.alias or name for name, field in Spec.model_fields.items()]
    assert list(complaint._OF_SPEC) == known
    assert list(complaint._OF_GRID) == list(spec._Grid.model_fields)
