"""Why did this setting leak, or hold, and what would change that?

`asked` says which trial is meant and imports no torch; `derive` replays it and tries its
neighbours, `explanation` is what comes of that, and `prose` says it in plain English.
"""
