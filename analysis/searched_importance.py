"""How much each axis matters for a value, by Optuna's two evaluators, and how far to trust it.

Takes a design, which has the value of each axis of each setting as a whole number, and one
response a setting; knows nothing of trials or tables. Optuna and scikit-learn are imported
where they are used: the other tables do without them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.importance import BaseImportanceEvaluator
    from optuna.study import Study
    from optuna.trial import FrozenTrial, TrialState

TREES = 32  # twice as many move no share of the presets by more than 0.006
MAX_DEPTH = 64  # Optuna's own
SEED = 0

Design = tuple[tuple[int, ...], ...]
"""A tuple a setting, with a whole number for each axis. Each number from 0 to an axis's largest
is there, and that is at least 1."""
Response = tuple[float, ...]
"""A finite number a setting, not all equal."""

# Many optimizers behave alike on the same grid, and what is equal is reckoned once.
_once = lru_cache(maxsize=256)


@dataclass(frozen=True, slots=True)
class Shares:
    """What fANOVA says of the axes of a design.

    Attributes:
        alone: for each axis, the share of the forest's variance that it makes alone, in
            [0, 1]; what they lack to 1 is made by axes together.
        explained: the forest's R^2 on settings that its trees were not shown: at most 1,
            and 0 or less where it predicts them no better than their mean does.
    """

    alone: tuple[float, ...]
    explained: float


@_once
def fanova(design: Design, response: Response) -> Shares:
    """What each axis alone, and all of them, explain of the variance of ``response``.

    The same for the same input. The values of an axis weigh alike, whatever they stand for.

    Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter
    Importance", ICML 2014.
    """
    from optuna.distributions import FloatDistribution
    from optuna.importance import FanovaImportanceEvaluator

    def cells(count: int) -> BaseDistribution:
        return FloatDistribution(-0.5, count - 0.5)  # as wide for the first value as for any

    evaluator = FanovaImportanceEvaluator(n_trees=TREES, max_depth=MAX_DEPTH, seed=SEED)
    columns = [
        _ranked(np.array(column), np.array(response)) for column in zip(*design, strict=True)
    ]
    ranked = tuple(zip(*columns, strict=True))
    alone = _evaluated(evaluator, ranked, response, cells)
    return Shares(alone, _explained(ranked, response))


@_once
def ped_anova(design: Design, response: Response, top: int) -> tuple[float, ...]:
    """How differently each axis is spread in the ``top`` highest settings and in all.

    Shares of the sum over the axes, or all 0 where no axis differs. ``top`` is at least 1 and
    below the number of settings; ties count as high.

    Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance
    in Arbitrary Subspaces", IJCAI 2023.
    """
    from optuna.distributions import CategoricalDistribution
    from optuna.importance import PedAnovaImportanceEvaluator

    def words(count: int) -> BaseDistribution:
        return CategoricalDistribution(range(count))

    # Optuna takes ceil(share * settings): half a setting less is safe from rounding.
    evaluator = PedAnovaImportanceEvaluator(target_quantile=(top - 0.5) / len(response))
    found = _evaluated(evaluator, design, response, words)
    whole = sum(found)
    return tuple(one / whole for one in found) if whole else found


def _ranked(column: npt.NDArray[np.int64], response: npt.NDArray[np.float64]) -> list[int]:
    """``column`` recoded by rising mean of ``response``.

    A tree's best split of the words of an axis lies between two neighbours in that order
    (Breiman et al., "Classification and Regression Trees", 1984, theorem 4.5). Optuna would
    make a column of each word instead, and walk each tree 2^k times for k words.
    """
    means = np.bincount(column, response) / np.bincount(column)
    rank = np.empty(len(means), np.int64)
    rank[np.argsort(means, kind="stable")] = np.arange(len(means))
    ranked: list[int] = rank[column].tolist()
    return ranked


def _evaluated(
    evaluator: BaseImportanceEvaluator,
    design: Design,
    response: Response,
    distribution: Callable[[int], BaseDistribution],
) -> tuple[float, ...]:
    """What ``evaluator`` says of a study with a trial a setting, not normalised."""
    import optuna

    largest = [max(column) for column in zip(*design, strict=True)]
    kinds = {str(place): distribution(most + 1) for place, most in enumerate(largest)}
    with _quiet():
        study = _study(
            [
                _trial(number, dict(zip(kinds, row, strict=True)), kinds, value)
                for number, (row, value) in enumerate(zip(design, response, strict=True))
            ]
        )
        found = optuna.importance.get_param_importances(
            study, evaluator=evaluator, params=list(kinds), normalize=False
        )
    return tuple(float(found[axis]) for axis in kinds)


def _study(trials: list[FrozenTrial]) -> Study:
    """A study of ``trials``, as they are: to add them would take ten times as long.

    Optuna checks each trial that is added, and copies it deeply, twice.
    """
    from optuna.storages import InMemoryStorage
    from optuna.study import Study, StudyDirection

    class Given(Study):
        def get_trials(
            self, deepcopy: bool = True, states: Container[TrialState] | None = None
        ) -> list[FrozenTrial]:
            return trials

    storage = InMemoryStorage()
    storage.create_new_study([StudyDirection.MAXIMIZE], "settings")
    return Given("settings", storage)


def _trial(
    number: int, params: dict[str, int], kinds: dict[str, BaseDistribution], value: float
) -> FrozenTrial:
    from optuna.trial import FrozenTrial, TrialState

    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.COMPLETE,
        value=value,
        params=params,
        distributions=kinds,
        datetime_start=None,
        datetime_complete=None,
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def _explained(design: Design, response: Response) -> float:
    """The out-of-bag R^2 of a forest like the one that fANOVA stands on."""
    from sklearn.ensemble import RandomForestRegressor  # type: ignore[import-untyped]

    forest = RandomForestRegressor(TREES, max_depth=MAX_DEPTH, random_state=SEED, oob_score=True)
    with _quiet():
        forest.fit(design, response)
    return float(forest.oob_score_)


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna without its log; no remarks on what is experimental, or on few settings."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
