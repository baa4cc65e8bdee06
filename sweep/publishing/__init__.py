"""How do trials get to Optuna's tools, and from them to here?

    publish ──► a study in an Optuna storage ──► adopt

`optuna_storage` opens what Optuna keeps studies in, `published` the user attributes that a trial
of ours has there, `publish` what is new in a study, and `adopt` what may come in from one.
"""
