"""Where trials run: in worker processes here, in processes that can be stopped, on a cluster.

`sweep.running.runner` chooses among them. Each takes planned trials from a `source`, gives outcomes
out as they come, and knows nothing of sweeps or databases.
"""
