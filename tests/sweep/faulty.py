"""Optimizers that go wrong: a trial names one as ``faulty:RaisesAtStep7``.

Each is SGD for seven steps; what it does in step 7, counting from 0, is its own.
"""

import os
import signal
import sys
import time

import torch


class Faulty(torch.optim.SGD):
    """SGD that goes wrong in one step."""

    at_step = 7
    steps_done = 0

    def step(self, closure=None):
        """One step of SGD, gone wrong if it is the one."""
        if self.steps_done == self.at_step:
            self.go_wrong()
        self.steps_done += 1
        return super().step(closure)

    def go_wrong(self):
        """What the subclass says."""
        raise NotImplementedError

    def fill_parameters(self, value):
        """Makes every element of every parameter ``value``."""
        with torch.no_grad():
            for parameter in self.param_groups[0]["params"]:
                parameter.fill_(value)

    def fill_grads(self, value):
        """Makes every element of every grad that there is ``value``."""
        for parameter in self.param_groups[0]["params"]:
            if parameter.grad is not None:
                parameter.grad.fill_(value)


class RaisesAtStep7(Faulty):
    """Raises."""

    def go_wrong(self):
        raise ArithmeticError("no eighth step")


class RaisesAtStep37(RaisesAtStep7):
    """Raises, late."""

    at_step = 37


class Hangs(Faulty):
    """Hangs in Python."""

    def go_wrong(self):
        print("hangs for ever", file=sys.stderr)
        while True:
            time.sleep(0.1)


class EatsMemory(Faulty):
    """Takes memory until it is stopped, up to 8 GiB."""

    def go_wrong(self):
        eaten = [torch.ones(2**22) for _ in range(512)]
        raise MemoryError(f"not stopped after {len(eaten)} pieces")


class Exits(Faulty):
    """Calls ``sys.exit``."""

    def go_wrong(self):
        sys.exit("good-bye")


class Interrupts(Faulty):
    """Raises what Ctrl-C raises."""

    def go_wrong(self):
        raise KeyboardInterrupt("not by a person")


class KillsItsProcess(Faulty):
    """Kills its process as the kernel does when memory runs out."""

    def go_wrong(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Aborts(Faulty):
    """Aborts its process as native code does when it finds itself broken."""

    def go_wrong(self):
        os.abort()


class Naps(torch.optim.SGD):
    """SGD whose trials take ``lr`` seconds and a little."""

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        super().__init__(params, lr, weight_decay=weight_decay)
        time.sleep(lr)


class Prints(Faulty):
    """Prints four megabytes to stdout and as many to stderr."""

    def go_wrong(self):
        for stream in (sys.stdout, sys.stderr):
            print("x" * 2**22, file=stream)


class Asks(Faulty):
    """Asks the person at the terminal."""

    def go_wrong(self):
        input("Continue? ")


class NansInParameters(Faulty):
    """Fills the parameters with NaN."""

    def go_wrong(self):
        self.fill_parameters(float("nan"))


class InfinityInParameters(Faulty):
    """Fills the parameters with infinity."""

    def go_wrong(self):
        self.fill_parameters(float("inf"))


class NansInGrads(Faulty):
    """Fills the grads with NaN."""

    def go_wrong(self):
        self.fill_grads(float("nan"))


class InfinityInGrads(Faulty):
    """Fills the grads with infinity."""

    def go_wrong(self):
        self.fill_grads(float("inf"))
