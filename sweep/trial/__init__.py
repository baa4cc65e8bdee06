"""What does one trial show? Start with `trial.trial`, one page; the rest is what it stands on.

`training` is the run itself, a step at a time, `freezing` what a schedule does to it, and `pure`
what of it need not be computed again. `probe` sees what a step changed, `tally` sums that up.
`diary` notes what `replay` runs again, for `causes`, and `hindsight` asks when it has ended.
`stack` and `groups` are for trials that differ only in their seed, trained at once.
"""
