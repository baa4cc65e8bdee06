"""Importing this imports all that a trial needs, so that the first one begins at once."""

from __future__ import annotations

import torch

import sweep.trial.trial  # noqa: F401 for what comes with it

torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])  # the half of torch that comes with one
