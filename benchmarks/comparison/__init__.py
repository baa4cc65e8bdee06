"""How does `watch` do beside the other tools that look for frozen parameters that move?

`cases` are training loops, made in `loops`, of which it is known what they do. `tools` asks each
tool about them, `judge` holds the answers against the bits, and `page` writes it all down. The
script is benchmarks/compare.py.
"""
