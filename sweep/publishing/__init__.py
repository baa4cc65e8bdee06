"""How do trials get to Optuna's tools, and from them to here?

    publish ──► a study in an Optuna storage ──► adopt

`optuna_storage` opens what Optuna keeps studies in, `published` says what a trial of ours is
there, `publish` adds what is new to a study, and `adopt` takes in what may come from one.
"""
