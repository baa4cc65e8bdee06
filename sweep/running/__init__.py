"""Where do trials run? In worker processes of this machine, which can be stopped, or on a cluster.

`sweep.running.runner` chooses. Each way takes planned trials, gives outcomes out as they come, and
knows nothing of sweeps or databases.
"""
