"""What a loop truly did, read off the bits around each step. Uses nothing of the program.

A test says which parameters were to keep still on which steps; the witness says which of them
moved, and `told` and `told_rows` what a watch says.
"""

import torch


def bits(tensor):
    """A copy of the tensor's bytes, of shape ``(rows, bytes)``."""
    tensor = tensor.detach().contiguous()
    rows = tensor.shape[0] if tensor.dim() else 1
    return tensor.reshape(rows, -1).view(torch.uint8).clone()


class Witness:
    """Looks at named parameters before and after each step; `step` takes one, `attach` waits.

    A step is counted for its own optimizer, from 0.
    """

    def __init__(self, named):
        self._named = dict(named)
        self._steps = {}
        self._before = {}
        self._seen = []  # (name, step, rows that moved, rows whose grad was not all zeros)

    def step(self, optimizer, *arguments, **keywords):
        """Does what ``optimizer.step(...)`` does."""
        return self.call(optimizer, optimizer.step, *arguments, **keywords)

    def call(self, optimizer, step, *arguments, **keywords):
        """Does what ``step(...)`` does, which is a step of ``optimizer``."""
        self._look()
        result = step(*arguments, **keywords)
        self._compare(optimizer)
        return result

    def attach(self, optimizer):
        """Looks at the steps of ``optimizer``, whoever takes them. Not for nested ones."""
        optimizer.register_step_pre_hook(lambda *_: self._look())
        optimizer.register_step_post_hook(lambda *_: self._compare(optimizer))
        return optimizer

    def also(self, named):
        """Looks at these from now on, in place of those of the same names."""
        self._named.update(named)

    def moved(self, still):
        """``(name, step)`` of what moved where ``still(name, step)``."""
        return {
            (name, step) for name, step, rows, _ in self._seen if any(rows) and still(name, step)
        }

    def rows_moved(self, still):
        """``(name, row, step)`` of the rows that moved where ``still(name, row, step)``."""
        return {
            (name, row, step)
            for name, step, rows, _ in self._seen
            for row, moved in enumerate(rows)
            if moved and still(name, row, step)
        }

    def rows_moved_on_zeros(self):
        """``(name, row, step)`` of the rows that moved while all of their grad was zero."""
        return {
            (name, row, step)
            for name, step, rows, reached in self._seen
            for row, moved in enumerate(rows)
            if moved and not reached[row]
        }

    def _look(self):
        self._before = {name: (bits(p), _reached(p)) for name, p in self._named.items()}

    def _compare(self, optimizer):
        step = self._steps[id(optimizer)] = self._steps.get(id(optimizer), -1) + 1
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in self._named.items():
            before, reached = self._before[name]
            if id(parameter) in held:
                moved = (before != bits(parameter)).any(1).tolist()
                self._seen.append((name, step, moved, reached))


def told(leaks):
    """``(name, step)`` of what a watch calls a leak."""
    return {(leak.parameter, leak.step) for leak in leaks.leaks}


def told_rows(leaks):
    """``(name, row, step)`` of the rows that a watch says have leaked."""
    return {(leak.parameter, row, leak.step) for leak in leaks.leaks for row in leak.rows or ()}


def _reached(parameter):
    """Which rows of its grad are not all zeros."""
    rows = parameter.shape[0] if parameter.dim() else 1
    if parameter.grad is None:
        return [False] * rows
    grad = parameter.grad.detach().to_dense()
    return (grad != 0).reshape(rows, -1).any(1).tolist()
