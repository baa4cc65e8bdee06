"""How does a watch get into the loops of other libraries? One module a library.

Each needs its library and is imported by name, through the front door: `leaksweep.lightning`,
`leaksweep.transformers`. pytest's is `leaksweep.pytest_plugin`, which pytest finds by itself.
"""
