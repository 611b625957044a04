"""Which optimizers, schedules and training runs are compared. Options have Strata's names."""
import math

from torch import optim
from torch.optim import lr_scheduler

# Strata's name of an option, where it differs from PyTorch's.
NAMES = {"learning_rate": "lr", "learning_rate_decay": "lr_decay"}
CLASSES = {"SGD": optim.SGD, "Adagrad": optim.Adagrad, "RMSProp": optim.RMSprop, "Adam": optim.Adam,
           "AdamW": optim.AdamW}


def build(optimizer, options):
    renamed = {NAMES.get(key, key): value for key, value in options.items()}
    if "beta1" in renamed:
        renamed["betas"] = (renamed.pop("beta1"), renamed.pop("beta2"))
    return lambda parameters: CLASSES[optimizer](parameters, **renamed)


# A rate that falls, rises and falls: a momentum buffer must hold gradients, not steps.
CHANGING = [round(0.01 * (1.5 + math.sin(step)), 4) for step in range(20)]

OPTIMIZERS = {
    "SGD": [
        ("plain", dict(learning_rate=0.1), None),
        ("weight_decay", dict(learning_rate=0.1, weight_decay=0.05), None),
        ("momentum", dict(learning_rate=0.05, momentum=0.9), None),
        ("momentum_weight_decay", dict(learning_rate=0.05, momentum=0.9, weight_decay=0.05), None),
        ("momentum_dampening", dict(learning_rate=0.05, momentum=0.9, dampening=0.3), None),
        ("momentum_changing_rate", dict(learning_rate=0.01, momentum=0.9), CHANGING),
        ("nesterov", dict(learning_rate=0.05, momentum=0.8, nesterov=True), None),
        ("nesterov_weight_decay", dict(learning_rate=0.05, momentum=0.8, nesterov=True, weight_decay=0.05), None),
        ("nesterov_changing_rate", dict(learning_rate=0.01, momentum=0.9, nesterov=True), CHANGING),
    ],
    "Adagrad": [
        ("defaults", dict(learning_rate=0.01), None),
        ("weight_decay", dict(learning_rate=0.1, weight_decay=0.05), None),
        ("rate_decay", dict(learning_rate=0.1, learning_rate_decay=0.1), None),
        ("initial_accumulator", dict(learning_rate=0.1, initial_accumulator_value=0.5), None),
        ("large_eps", dict(learning_rate=0.1, eps=0.1), None),
        ("changing_rate", dict(learning_rate=0.01), CHANGING),
    ],
    "RMSProp": [
        ("defaults", dict(learning_rate=0.01), None),
        ("alpha", dict(learning_rate=0.01, alpha=0.9), None),
        ("weight_decay", dict(learning_rate=0.01, weight_decay=0.05), None),
        ("momentum", dict(learning_rate=0.01, momentum=0.9), None),
        ("centered", dict(learning_rate=0.01, centered=True), None),
        ("centered_momentum", dict(learning_rate=0.01, centered=True, momentum=0.5, eps=0.01), None),
        ("momentum_changing_rate", dict(learning_rate=0.01, momentum=0.9), CHANGING),
    ],
    "Adam": [
        ("defaults", dict(learning_rate=1e-3), None),
        ("rate_0_1", dict(learning_rate=0.1), None),
        ("betas", dict(learning_rate=0.01, beta1=0.5, beta2=0.9), None),
        ("no_momentum", dict(learning_rate=0.01, beta1=0.0, beta2=0.99), None),
        ("weight_decay", dict(learning_rate=0.01, weight_decay=0.05), None),
        ("large_eps", dict(learning_rate=0.01, eps=0.1), None),
        ("changing_rate", dict(learning_rate=0.01), CHANGING),
    ],
    "AdamW": [
        ("defaults", dict(learning_rate=1e-3), None),
        ("no_weight_decay", dict(learning_rate=0.01, weight_decay=0.0), None),
        ("weight_decay", dict(learning_rate=0.1, weight_decay=0.2), None),
        ("betas", dict(learning_rate=0.01, beta1=0.5, beta2=0.9), None),
        ("large_eps", dict(learning_rate=0.01, eps=0.1), None),
        ("changing_rate", dict(learning_rate=0.01, weight_decay=0.2), CHANGING),
    ],
}


def optimizers():
    """(optimizer, name, options, rate of each step or None, constructor) of every case."""
    for optimizer, cases in OPTIMIZERS.items():
        for name, options, rates in cases:
            yield optimizer, name, options, rates, build(optimizer, options)


PLATEAU_NAMES = {"minimum": "min_lr"}
PLATEAUS = {
    "loss": dict(patience=2, factor=0.5),
    "loss_no_patience": dict(patience=0, factor=0.7),
    "loss_large_threshold": dict(patience=1, factor=0.5, threshold=0.2),
    "loss_absolute_threshold": dict(patience=1, factor=0.5, threshold=0.15, relative_threshold=False),
    "loss_cooldown": dict(patience=1, factor=0.5, cooldown=3),
    "loss_minimum": dict(patience=0, factor=0.1, minimum=0.003),
    "loss_eps": dict(patience=0, factor=0.5, eps=0.02),
    "accuracy": dict(monitor="accuracy", patience=2, factor=0.5),
    "accuracy_large_threshold": dict(monitor="accuracy", patience=1, factor=0.5, threshold=0.2),
    "accuracy_absolute_threshold": dict(monitor="accuracy", patience=1, factor=0.5, threshold=0.15,
                                        relative_threshold=False),
}
# Falls, stalls, falls and rises; all multiples of 1/64, so that no threshold is met within a rounding error.
METRICS = [value / 64 for value in (128, 96, 77, 77, 78, 76, 83, 70, 64, 64, 64, 64, 63, 65, 77, 90, 96, 102, 108, 115)]


def plateau(options):
    options = {PLATEAU_NAMES.get(key, key): value for key, value in options.items()}
    mode = "max" if options.pop("monitor", "loss") == "accuracy" else "min"
    threshold_mode = "rel" if options.pop("relative_threshold", True) else "abs"
    return lambda o: lr_scheduler.ReduceLROnPlateau(o, mode, threshold_mode=threshold_mode, **options)


def schedules():
    """(schedule, name, options, constructor, metrics) of every case; lengths are in steps."""

    def case(schedule, name, options, build, metrics=None):
        return schedule, f"{schedule}_{name}", {"learning_rate": 0.1, **options}, build, metrics

    yield case("ConstantRate", "plain", {}, lambda o: lr_scheduler.LambdaLR(o, lambda step: 1.0))
    for every, gamma in ((1, 0.5), (3, 0.1), (7, 0.9), (30, 0.1)):
        yield case("StepDecay", f"every_{every}", dict(every=every, gamma=gamma),
                   lambda o: lr_scheduler.StepLR(o, every, gamma))
    for name, milestones, gamma in (("one", [5], 0.1), ("three", [2, 9, 10], 0.3), ("beyond_the_end", [4, 25], 0.5)):
        yield case("MultiStepDecay", name, dict(milestones=milestones, gamma=gamma),
                   lambda o: lr_scheduler.MultiStepLR(o, milestones, gamma))
    for name, gamma in (("gamma_0_9", 0.9), ("gamma_0_5", 0.5), ("growing", 1.1)):
        yield case("ExponentialDecay", name, dict(gamma=gamma), lambda o: lr_scheduler.ExponentialLR(o, gamma))
    for name, length, minimum in (("to_zero", 20, 0.0), ("to_minimum", 20, 0.01), ("longer_than_training", 33, 0.0)):
        yield case("CosineDecay", name, dict(length=length, minimum=minimum),
                   lambda o: lr_scheduler.CosineAnnealingLR(o, length, minimum))
    for name, options in (("defaults", {}), ("short_rise", dict(pct_start=0.1)), ("long_rise", dict(pct_start=0.65)),
                          ("factors", dict(div_factor=5.0, final_div_factor=100.0))):
        yield case("OneCycle", name, options,
                   lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=20, cycle_momentum=False, **options))
    for name, length, start in (("from_a_third", 5, 1 / 3), ("from_a_tenth", 8, 0.1), ("one_step", 1, 0.5)):
        yield case("Warmup", name, dict(length=length, start_factor=start),
                   lambda o: lr_scheduler.LinearLR(o, start, total_iters=length))
    yield case("Warmup", "then_step_decay", dict(length=4, start_factor=0.25, every=6, gamma=0.5),
               lambda o: lr_scheduler.SequentialLR(
                   o, [lr_scheduler.LinearLR(o, 0.25, total_iters=4), lr_scheduler.StepLR(o, 6, 0.5)], [4]))
    for name, options in PLATEAUS.items():
        yield case("ReduceOnPlateau", name, options, plateau(options), METRICS)


def clippings():
    """(name, largest norm, scale of the gradients)"""
    yield "clipped", 1.0, 1.0
    yield "far_above", 0.01, 100.0
    yield "below", 50.0, 1.0
    yield "tiny_gradients", 1e-3, 0.01


def training_runs():
    """(name, options, constructor)"""
    for name, optimizer, options in (
        ("momentum", "SGD", dict(learning_rate=0.05, momentum=0.9)),
        ("nesterov_weight_decay", "SGD", dict(learning_rate=0.05, momentum=0.9, nesterov=True, weight_decay=0.01)),
    ):
        yield name, {"optimizer": optimizer, **options}, build(optimizer, options)
