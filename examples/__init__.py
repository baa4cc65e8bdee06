"""How do I use this on a model of my own? Each module is a script and a workload."""
