"""The causes that a trial records against a plain script, which has nothing of the package.

Here a sample of the optimizers; ``python tests/sweep/trial/test_second_opinion.py`` asks about
every one that can be built here, and ends with how many agree (six minutes on one core).
"""

import random
import sys
from pathlib import Path

import pytest
import torch

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

import second_opinion

from sweep.grid import Grid
from sweep.grid.spec_file import from_toml
from sweep.optimizers import registry
from sweep.optimizers.build import constructor_arguments
from sweep.trial.trial import run_trial
from sweep.values.words import Verdict

ALWAYS = ("SGD", "Adam", "LBFGS", "ASGD", "pytorch_optimizer.adopt", "pytorch_optimizer.bsam",
          "pytorch_optimizer.magma", "torch_optimizer.Lamb", "heavyball.SGD")  # fmt: skip
SAMPLED = 16

NEITHER_CAN_TELL = {
    "pytorch_optimizer.adahessian": "differentiates a grad again, which a detached layer's has not",
    "pytorch_optimizer.sophiah": "differentiates a grad again, which a detached layer's has not",
    "torch_optimizer.Adahessian": "differentiates a grad again, which a detached layer's has not",
}
"""Those that raise in the plain script, too, where the layer has a grad; and why."""


def grid(optimizers):
    """With and without weight decay, each way of clearing grads."""
    text = f"""workload = "small"\nsteps = 6\n[[grid]]\noptimizer = {list(optimizers)}
    weight_decay = [0.0, 0.1]\nzero_grad = ["none", "zero", "never"]"""
    return Grid(from_toml(text, source="the second opinion", name="second-opinion"))


def case(planned):
    """The trial as the plain script takes it: a class, its arguments, how it must be called."""
    entry, setting = registry.lookup(planned.setting.optimizer), planned.setting
    registry.optimizer_class(entry)  # sets up what its library needs around it
    options = planned.constructor_options()
    return second_opinion.Case(
        target=entry.target,
        arguments=constructor_arguments(entry, setting, options, steps=planned.steps),
        zero_grad=setting.zero_grad.value,
        decay_argument=entry.weight_decay,
        decay_key=entry.decay_key,
        takes_model=entry.takes_model,
        group=dict(entry.group_options),
        closure=entry.needs_closure,
        backward_first=entry.backward_first,
        create_graph=entry.create_graph,
        train_mode=entry.train_mode,
        steps=planned.steps,
    )


def opinions(planned):
    """What the trial says, and what the plain script does."""
    outcome = run_trial(planned)
    still = (Verdict.HOLDS, Verdict.INERT)
    ours = "holds" if outcome.verdict in still else str(outcome.verdict)
    if outcome.verdict is Verdict.LEAKS:
        ours = outcome.causes.sets if outcome.causes else outcome.unexplained
    try:
        theirs = second_opinion.causes(case(planned))
    except RuntimeError as error:
        theirs = f"raised {error}"
    return ours, theirs


def agree(planned):
    """Whether the two say the same; where neither can, that it is known."""
    ours, theirs = opinions(planned)
    if theirs.startswith("raised "):
        cannot = ours == "failed" or ours.startswith("a replay raised ")
        return cannot and planned.setting.optimizer in NEITHER_CAN_TELL
    return theirs == ours


def sample():
    rows = [registry.lookup(name) for name in registry.names() if not name.startswith("timm.")]
    built = [entry.name for entry in rows if not entry.cannot and not entry.sparse]
    drawn = random.Random(15).sample(built, SAMPLED)
    return sorted({*ALWAYS, *drawn, *NEITHER_CAN_TELL})


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.filterwarnings("ignore")  # what libraries say of themselves
@pytest.mark.parametrize("optimizer", sample())
def test_a_plain_script_finds_the_same_causes(optimizer):
    if registry.unavailable(registry.lookup(optimizer)):
        pytest.skip("cannot be built here")
    for planned in grid([optimizer]):
        assert agree(planned), (planned.setting, *opinions(planned))


def test_the_plain_script_has_nothing_of_the_package():
    text = Path(second_opinion.__file__).read_text()
    assert not [line for line in text.splitlines() if "import" in line and "sweep" in line]


def main():
    """Every optimizer: prints the trials on which the two differ, and how many there are."""
    torch.set_num_threads(1)
    everything = list(grid(["*"]))
    differing = [planned for planned in everything if not agree(planned)]
    for planned in differing:
        print(planned.setting, *opinions(planned), sep="\n  ")
    optimizers = len({planned.setting.optimizer for planned in everything})
    print(f"{optimizers} optimizers, {len(everything)} trials: {len(differing)} differ")


if __name__ == "__main__":
    main()
