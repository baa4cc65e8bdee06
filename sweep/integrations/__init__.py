"""How does a watch get into the loops of other libraries? One module a library.

Each needs its library and is imported by name: `sweep.integrations.lightning`,
`sweep.integrations.transformers`; pytest finds `sweep.integrations.pytest_plugin` by itself.
"""
