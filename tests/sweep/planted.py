"""Optimizers that move a layer for known reasons: what the causes must name, and nothing else.

A trial names one as ``planted:Momentum``; `conftest` sees to it that it is found.
"""

import time

import torch
from torch.optim import SGD, Optimizer
from torch.utils.weak import WeakTensorKeyDictionary


class Planted(Optimizer):
    """Takes ``lr`` times a direction off each parameter; subclasses say which direction."""

    none_is_zero = False

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        """One step; a grad that is None leaves its parameter alone, unless None is zero."""
        for group in self.param_groups:
            for parameter in group["params"]:
                grad = parameter.grad
                if grad is None and self.none_is_zero:
                    grad = torch.zeros_like(parameter)
                if grad is not None:
                    direction = self.direction(parameter, grad, group)
                    parameter.sub_(group["lr"] * direction)

    def direction(self, parameter, grad, group):
        """The grad, and no other source."""
        return grad


class Plain(Planted):
    """Only a gradient moves it."""


class Momentum(Planted):
    """Its history moves it."""

    def direction(self, parameter, grad, group):
        state = self.state[parameter]
        state["memory"] = 0.9 * state.get("memory", 0.0) + grad
        return state["memory"]


class MomentumInGroup(Planted):
    """Its history moves it, and is kept in the parameter group as D-Adaptation's is."""

    def direction(self, parameter, grad, group):
        memory = group.setdefault("memory", {})
        memory[parameter] = 0.9 * memory.get(parameter, 0.0) + grad
        return memory[parameter]


class MomentumInAttribute(Planted):
    """Its history moves it, and is kept in an attribute of its own."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.memory = {}

    def direction(self, parameter, grad, group):
        self.memory[parameter] = 0.9 * self.memory.get(parameter, 0.0) + grad
        return self.memory[parameter]


_memories = WeakTensorKeyDictionary()


class MomentumOfParameters(Planted):
    """Its history moves it, and is kept in this module, by parameter."""

    def direction(self, parameter, grad, group):
        _memories[parameter] = 0.9 * _memories.get(parameter, 0.0) + grad
        return _memories[parameter]


class DecayOfAll(Planted):
    """Weight decay times the steps that all of its kind have taken in this process."""

    taken = 0

    def direction(self, parameter, grad, group):
        DecayOfAll.taken += 1
        return grad + DecayOfAll.taken * group["weight_decay"] * parameter


_sums = []


class MomentumOfAll(Planted):
    """Its history moves it, and is kept in this module for whoever comes next."""

    def direction(self, parameter, grad, group):
        if parameter.ndim == 2 and parameter.shape[0] != parameter.shape[1]:
            _sums.append(float(grad.sum()))
        return grad + sum(_sums)


class KeepsNoCopy(MomentumInAttribute):
    """Its history moves it, and every copy of it has none."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.memory = _Forgetful()


class _Forgetful(dict):
    def __deepcopy__(self, memo):
        return _Forgetful()


class LosesInCopies(MomentumInAttribute):
    """Its history moves it, and a copy of it lacks what it takes to step."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.memory = _Vanishing()


class _Vanishing(dict):
    def __deepcopy__(self, memo):
        return None


class GradsInAttribute(Planted):
    """Its history moves it: the very tensor that was the grad, which zeroing zeroes, too."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.grads = {}

    def direction(self, parameter, grad, group):
        before = self.grads.get(parameter, grad).clone()
        self.grads[parameter] = grad
        return grad + before + 0.01


class ActsInBackward(Planted):
    """Its history moves it, and is what backward brought, not what the step finds."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.register_post_accumulate_grad_hook(self.remember)

    def remember(self, parameter):
        self.state[parameter]["seen"] = parameter.grad.clone()

    def direction(self, parameter, grad, group):
        return grad + self.state[parameter].get("seen", 0.0)


class Anchor(Planted):
    """Its history moves it: it pulls back to where the parameters were when it was built."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["anchor"] = parameter.detach().clone()

    def direction(self, parameter, grad, group):
        return grad + parameter - self.state[parameter]["anchor"]


class MomentumWithClosure(Momentum):
    """Its history moves it, and its step needs a closure."""

    def step(self, closure):
        with torch.enable_grad():
            closure()
        super().step()


class Decay(Planted):
    """Its weight decay moves it."""

    def direction(self, parameter, grad, group):
        return grad + group["weight_decay"] * parameter


class DecayInAttribute(Planted):
    """Its weight decay moves it, and is kept out of the parameter groups."""

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        super().__init__(params, lr)
        self.own_decay = weight_decay
        for group in self.param_groups:
            del group["weight_decay"]

    def direction(self, parameter, grad, group):
        return grad + self.own_decay * parameter


class DecayInUnreadGroup(DecayInAttribute):
    """Its weight decay moves it; its groups have a ``weight_decay`` that nothing reads."""

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        for group in self.param_groups:
            group["weight_decay"] = weight_decay


class MomentumAndDecay(Momentum):
    """History and weight decay, independent of each other."""

    def direction(self, parameter, grad, group):
        return super().direction(parameter, grad, group) + group["weight_decay"] * parameter


class MomentumAndDecayInAttribute(DecayInAttribute):
    """History and weight decay, the latter kept out of the parameter groups."""

    def direction(self, parameter, grad, group):
        state = self.state[parameter]
        state["memory"] = 0.9 * state.get("memory", 0.0) + grad
        return state["memory"] + self.own_decay * parameter


class DecayThatGrows(Planted):
    """Weight decay times the steps so far: neither history nor decay moves it alone."""

    def direction(self, parameter, grad, group):
        state = self.state[parameter]
        state["steps"] = state.get("steps", -1) + 1
        return grad + state["steps"] * group["weight_decay"] * parameter


class MomentumTimesGrad(Planted):
    """Its history times its grad: neither moves it alone."""

    def direction(self, parameter, grad, group):
        state = self.state[parameter]
        state["memory"], before = grad.clone(), state.get("memory", 0.0)
        return before * grad


class Drift(Planted):
    """A term of its own moves it, whatever grad, history and decay are."""

    def direction(self, parameter, grad, group):
        return grad + 0.01


class NoisyDrift(Planted):
    """A term of its own that it draws at random, as it does when it is built."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.scale = torch.rand(()).item() * 0.0 + 0.01

    def direction(self, parameter, grad, group):
        return grad + self.scale * torch.randn_like(parameter)


class DriftAndMomentum(Momentum):
    """A term of its own, and history that changes the movement."""

    def direction(self, parameter, grad, group):
        return super().direction(parameter, grad, group) + 0.01


class DriftAndDecay(Decay):
    """A term of its own, and weight decay that changes the movement."""

    def direction(self, parameter, grad, group):
        return super().direction(parameter, grad, group) + 0.01


class MomentumDespiteNone(Momentum):
    """Its history moves it, whether it has a grad or not."""

    none_is_zero = True


class DecayDespiteNone(Decay):
    """Its weight decay moves it, whether it has a grad or not."""

    none_is_zero = True


class DriftDespiteNone(Drift):
    """A term of its own moves it, whether it has a grad or not."""

    none_is_zero = True


class DriftHalvedByNone(Planted):
    """A term of its own moves it, half as far where there is no grad."""

    none_is_zero = True

    def direction(self, parameter, grad, group):
        return grad + (0.005 if parameter.grad is None else 0.01)


class SharedStep(Planted):
    """Parameters that have a grad share one step: a grad of zeros slows the others down."""

    def direction(self, parameter, grad, group):
        having = sum(p.grad is not None for g in self.param_groups for p in g["params"])
        return grad / having


class SharedByAll(Planted):
    """Its step gets shorter with every step that any of its kind has taken in this process."""

    taken = 0

    def direction(self, parameter, grad, group):
        SharedByAll.taken += 1
        return grad / SharedByAll.taken


class SharedStepAndMomentum(Momentum):
    """As SharedStep, and its history moves it."""

    def direction(self, parameter, grad, group):
        having = sum(p.grad is not None for g in self.param_groups for p in g["params"])
        return super().direction(parameter, grad, group) / having


class LateDecay(DecayInAttribute):
    """Its weight decay moves it, from its second step on, and is kept out of its groups."""

    def __init__(self, params, lr=0.1, weight_decay=0.1):
        super().__init__(params, lr, weight_decay)
        self.steps = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.steps += 1
        if self.steps > 1:
            super().step()


class NeedsDecay(SGD):
    """Refuses to be built without weight decay."""

    def __init__(self, params, lr=0.1, weight_decay=0.1, words=0):
        if weight_decay <= 0:
            raise ValueError("weight_decay must be > 0" + " and more" * words)
        super().__init__(params, lr=lr, weight_decay=weight_decay, momentum=0.9)


class _NoWordsError(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class RaisesWithoutWords(Planted):
    """Raises what cannot say what it is."""

    def step(self, closure=None):
        raise _NoWordsError


class RaisesAtLength(Planted):
    """Raises what does not come to an end."""

    def step(self, closure=None):
        raise ValueError("very " * 10_000 + "wrong")


class LeavesEverything(BaseException):
    """What no ``except Exception`` catches."""


class RaisesPastExceptions(Planted):
    """Raises what is no Exception."""

    def step(self, closure=None):
        raise LeavesEverything("out")


class DecayTimesGrad(Planted):
    """Its weight decay times its grad: neither moves it alone."""

    def direction(self, parameter, grad, group):
        return group["weight_decay"] * parameter * grad


class AllThreeTogether(Planted):
    """History times decay times grad: no two of them move it."""

    def direction(self, parameter, grad, group):
        state = self.state[parameter]
        state["seen"], seen = 1.0, state.get("seen", 0.0)
        return seen * group["weight_decay"] * parameter * grad


class Cancelling(Planted):
    """Its history takes back what its weight decay does."""

    def direction(self, parameter, grad, group):
        state = self.state[parameter]
        back = state.get("steps", 0)
        state["steps"] = 1
        return grad + group["weight_decay"] * parameter - back * 0.1 * parameter


class FlagOfAll(Planted):
    """Its history moves it: a flag of the class, which once set stays so."""

    moves = False

    def direction(self, parameter, grad, group):
        if grad.any():
            FlagOfAll.moves = True
            return grad
        return grad + 0.01 * FlagOfAll.moves


_flags = {"moves": False}


def _raise_flag():
    _flags["moves"] = True


class FlagInModule(Planted):
    """Its history moves it: a flag of the module, which a function of the module sets."""

    def direction(self, parameter, grad, group):
        if grad.any():
            _raise_flag()
            return grad
        return grad + 0.01 * _flags["moves"]


class TensorOfAll(Planted):
    """Its history moves it: a tensor of the class, written in place up to a bound."""

    seen = torch.zeros(1)

    def direction(self, parameter, grad, group):
        push = 0.01 * TensorOfAll.seen
        TensorOfAll.seen.add_(grad.any()).clamp_(max=1)
        return grad + push


class MomentumInDefault(Planted):
    """Its history moves it, and is kept in an argument's default."""

    def direction(self, parameter, grad, group, memory={}):  # noqa: B006  # as it says
        shape = tuple(parameter.shape)
        memory[shape] = 0.9 * memory.get(shape, 0.0) + grad
        return memory[shape]


class MomentumInClosure(Planted):
    """Its history moves it, and is kept in what a function of its own closes over."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        memory = {}

        def remember(parameter, grad):
            memory[parameter] = 0.9 * memory.get(parameter, 0.0) + grad
            return memory[parameter]

        self.remember = remember

    def direction(self, parameter, grad, group):
        return self.remember(parameter, grad)


class MomentumInSlots(MomentumInAttribute):
    """Its history moves it, and is kept in a slot, which ``vars`` has not."""

    __slots__ = ("memory",)


class MomentumOnParameters(Planted):
    """Its history moves it, and is kept in an attribute of each parameter."""

    def direction(self, parameter, grad, group):
        parameter.memory = 0.9 * getattr(parameter, "memory", 0.0) + grad
        return parameter.memory


class MomentumById(MomentumInAttribute):
    """Its history moves it, and is kept by the identity of each parameter."""

    def direction(self, parameter, grad, group):
        self.memory[id(parameter)] = 0.9 * self.memory.get(id(parameter), 0.0) + grad
        return self.memory[id(parameter)]


class MomentumInGrad(Momentum):
    """Its history moves it, and is written into the grad."""

    def direction(self, parameter, grad, group):
        return grad.copy_(super().direction(parameter, grad, group))


class Lookahead(Planted):
    """Its history moves it: every second step goes half the way back, grad or none."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.steps = 0
        listed = [p for group in self.param_groups for p in group["params"]]
        self.slow = {p: p.detach().clone() for p in listed}

    @torch.no_grad()
    def step(self, closure=None):
        super().step()
        self.steps += 1
        for parameter, slow in self.slow.items():
            if self.steps % 2 == 0:
                parameter.copy_(slow.lerp_(parameter, 0.5))


class _Exits:
    def __deepcopy__(self, memo):
        raise SystemExit("no copies")


class ExitsWhenCopied(Momentum):
    """Its history moves it, and a copy of it ends the process."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.exits = _Exits()


class OwnGenerator(Planted):
    """A term that it draws from a generator of its own, which its history is the place in."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.generator = torch.Generator().manual_seed(3)

    def direction(self, parameter, grad, group):
        return grad + 0.01 * torch.randn(parameter.shape, generator=self.generator)


class DrawsAnew(OwnGenerator):
    """A term that it draws from a generator that is seeded anew each time it is built."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr)
        self.generator.seed()


class KnowsTheTime(Planted):
    """A term that depends on when it is."""

    def direction(self, parameter, grad, group):
        return grad + 0.001 * (time.perf_counter() % 1)


class ReplacesData(Planted):
    """Its weight decay moves it, by new tensors in place of the old."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.data = p.data - group["lr"] * (p.grad + group["weight_decay"] * p.data)


class SplitsItsGroups(Decay):
    """Its weight decay moves it, from groups that each step makes anew."""

    def step(self, closure=None):
        super().step()
        apart = [{**g, "params": [p]} for g in self.param_groups for p in g["params"]]
        self.param_groups = apart


class SkipsItsFirst(Decay):
    """Its weight decay moves it, on every second step, from an attribute that counts."""

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        super().__init__(params, lr, weight_decay)
        self.steps = 0

    def step(self, closure=None):
        self.steps += 1
        if self.steps % 2 == 0:
            super().step()


class DecayUnderItsOwnKey(Optimizer):
    """Its weight decay moves it, and its groups know it by another name."""

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "wd": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        decay = self.param_groups[0]["wd"]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(group["lr"] * (parameter.grad + decay * parameter))


class NotOfTorch:
    """Its weight decay moves it, and it has nothing that torch's optimizers have."""

    def __init__(self, params, lr=0.1, weight_decay=0.0):
        self.parameters, self.lr, self.decay = list(params), lr, weight_decay

    def zero_grad(self, set_to_none=True):
        for parameter in self.parameters:
            parameter.grad = None if set_to_none else torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self):
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.sub_(self.lr * (parameter.grad + self.decay * parameter))


class LeavesWhenNew(Momentum):
    """Its history moves it, and a new one that is met by zeros ends the process."""

    def direction(self, parameter, grad, group):
        if not self.state[parameter] and not grad.any():
            raise SystemExit(3)
        return super().direction(parameter, grad, group)


class RaisesOnceCounted(Planted):
    """Counts in an attribute of its class, and raises with the number."""

    taken = 0

    def step(self, closure=None):
        RaisesOnceCounted.taken += 1
        raise ValueError(f"step {RaisesOnceCounted.taken}")
