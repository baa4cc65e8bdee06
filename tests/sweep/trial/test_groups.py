from sweep.trial.groups import grouped, most_replicates
from sweep.values.setting import PlannedTrial, Setting


def plan(seed, *, optimizer="Adam", workload="small", lr=0.01):
    return PlannedTrial(Setting(optimizer, lr, 0.0, 0.9, seed=seed), workload, 5)


def test_neighbours_that_differ_only_in_their_seed_are_a_group():
    trials = [plan(0), plan(3), plan(5), plan(0, lr=0.1), plan(1, lr=0.1), plan(0, lr=1.0)]
    assert list(grouped(trials)) == [tuple(trials[:3]), tuple(trials[3:5]), tuple(trials[5:])]


def test_trials_that_must_be_alone_are_groups_of_one():
    for one in ({"optimizer": "Muon"}, {"optimizer": "nobody:Knows"}, {"workload": "article"},
                {"workload": "mine:function"}):  # fmt: skip
        trials = [plan(0, **one), plan(1, **one)]
        assert list(grouped(trials)) == [(trials[0],), (trials[1],)]


def test_a_group_is_never_larger_than_a_core_s_cache_bears():
    most = most_replicates(plan(0))
    trials = [plan(seed) for seed in range(2 * most + 1)]
    assert [len(group) for group in grouped(trials)] == [most, most, 1]


def test_only_one_trial_is_read_beyond_the_group_that_is_given():
    read = []
    groups = grouped(read.append(trial) or trial for trial in map(plan, range(3)))
    assert read == []
    next(groups)
    assert len(read) == 3
    read.clear()
    different = (read.append(lr) or plan(0, lr=lr) for lr in (0.1, 0.2, 0.3))
    next(grouped(different))
    assert read == [0.1, 0.2]


def test_no_trial_and_no_order_is_lost():
    trials = [plan(seed, lr=lr) for lr in (0.1, 0.2) for seed in range(3)] + [plan(0)]
    assert [trial for group in grouped(trials) for trial in group] == trials
