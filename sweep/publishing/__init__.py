"""How do trials get to Optuna's tools, and from them to here?

    publish ──► a study in an Optuna storage ──► adopt

`storage` owns what is known of Optuna's tables, `published` the user attributes that a trial
of ours has there, `publish` what is new in a study, and `adopt` what may come in from one.
"""
