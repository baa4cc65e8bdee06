"""Optimizers for the tests of ``package.module:Class``, each with one thing to be read off."""

from torch.optim import Optimizer


class OnlyLr(Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        return closure


class WithBetas(OnlyLr):
    def __init__(self, params, lr=0.1, betas=(0.8, 0.99), weight_decay=0.25):
        super().__init__(params, lr)


class WithBeta1(OnlyLr):
    def __init__(self, params, beta1=0.7):
        super().__init__(params)


class WithMomentumAndBetas(OnlyLr):
    def __init__(self, params, momentum=0.6, betas=(0.8, 0.99)):
        super().__init__(params)


class NeedsClosure(OnlyLr):
    def step(self, closure):
        return closure()


class WithTrain(OnlyLr):
    def train(self):
        return self


class NoOptimizer:
    pass
