"""What does one trial show? Start with `trial.trial`, one page; the rest is what it stands on.

`training` is the run itself, a step at a time, and `freezing` what a schedule does to it. `probe`
sees what a step changed, `tally` sums that up. `replay` runs a step again, for `causes` and for
`sideways`. `stack` and `groups` are for trials that differ only in their seed, trained at once.
"""
