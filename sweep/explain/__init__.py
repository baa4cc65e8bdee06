"""Why did this setting leak, or hold, and what would change that?

`asked` says which trial is meant, `derive` replays it and tries its
neighbours, `explanation` is what comes of that, and `prose` says it in plain English.
"""

from sweep.explain.derive import explain
from sweep.explain.explanation import Explanation
from sweep.explain.prose import in_words

__all__ = ["Explanation", "explain", "in_words"]
