"""Trajectories of the library pytorch-optimizer, as oracles of rules that Optax does not have.

Runs every call below, and writes where it leads to `pytorch_optimizer.json` beside this file, in
float64. In a virtual environment of its own, from the root of the repository:

    pip install torch pytorch-optimizer
    python -m tests.trajectories.pytorch_optimizer

The tests need only the data.
"""

import functools
import importlib.metadata
import json
import pathlib
from typing import Any

import numpy as np

DATA = pathlib.Path(__file__).with_suffix(".json")
PACKAGES = ("torch", "pytorch-optimizer")

# By the name under which the tests have what takes the same steps. Few arguments are defaults.
CALLS = {
    "soap": "SOAP(params, lr=0.1, betas=(0.8, 0.9), shampoo_beta=0.7, eps=1e-4, weight_decay=0.0, "
    "precondition_frequency=3)",
    "soap_of_vectors_too": "SOAP(params, lr=0.1, betas=(0.9, 0.8), eps=0.0, weight_decay=0.5, "
    "precondition_frequency=1, precondition_1d=True)",
    "soap_of_short_axes": "SOAP(params, lr=0.1, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.0, "
    "precondition_frequency=5, max_precondition_dim=3)",
    "shampoo": "Shampoo(params, lr=0.3, matrix_eps=1e-3)",
    "shampoo_of_old_roots": "Shampoo(params, lr=0.3, matrix_eps=1.0, "
    "preconditioning_compute_steps=3, weight_decay=0.5, weight_decouple=True)",
    "grafted_shampoo": "ScalableShampoo(params, lr=0.03, betas=(0.8, 0.9), matrix_eps=1e-3, "
    "graft_type=3, diagonal_eps=1e-3, preconditioning_compute_steps=3, "
    "start_preconditioning_step=1, shape_interpretation=False, use_svd=True, weight_decay=0.5, "
    "decoupled_weight_decay=True)",
    "adam_grafted_shampoo": "DASH(matrices, lr=0.1, betas=(0.8, 0.9), grafting_beta=0.95, "
    "precondition_frequency=3, inverse_root_method='eigh', eps=1e-3, matrix_eps=1e-300, "
    "weight_decay=0.5)",
    "mars_adamw": "MARS(params, lr=0.1, betas=(0.8, 0.9), gamma=0.1, eps=1e-3, weight_decay=0.5, "
    "optimize_1d=True)",
    "cautious_mars": "MARS(params, lr=0.1, betas=(0.8, 0.9), gamma=0.1, eps=1e-3, "
    "optimize_1d=True, cautious=True)",
    "cautious_adamw": "AdEMAMix(params, lr=0.1, betas=(0.8, 0.9, 0.99), alpha=0.0, eps=1e-3, "
    "weight_decay=0.5, weight_decouple=True, cautious=True)",
    "cautious_lion": "Lion(params, lr=0.1, betas=(0.7, 0.9), weight_decay=0.0, cautious=True)",
    "prodigy": "Prodigy(params, betas=(0.8, 0.9), d0=0.01, d_coef=0.8, eps=1e-3, "
    "weight_decay=0.5, bias_correction=True)",
    "prodigy_safeguarded": "Prodigy(params, lr=0.5, betas=(0.8, 0.9), beta3=0.7, d0=0.05, "
    "d_coef=2.0, eps=1e-3, bias_correction=True, safeguard_warmup=True)",
    "dadapt_adamw": "DAdaptAdam(params, betas=(0.8, 0.9), d0=0.01, eps=1e-3, weight_decay=0.5, "
    "weight_decouple=True, bias_correction=True)",
    "adopt": "ADOPT(params, lr=0.1, betas=(0.8, 0.9), eps=1e-3)",
    "ademamix": "AdEMAMix(params, lr=0.1, betas=(0.8, 0.9, 0.95), alpha=3.0, eps=1e-3, "
    "weight_decay=0.5, weight_decouple=True)",
    "adan": "Adan(params, lr=0.1, betas=(0.8, 0.7, 0.9), eps=1e-3, weight_decay=0.5, "
    "weight_decouple=True)",
    "asam": "SAM(params, torch.optim.SGD, rho=0.5, adaptive=True, lr=0.1, momentum=0.5)",
}

STEPS = 12

# No axis is more than 1 longer than the others together: the first gradient leaves at most one
# direction of each axis without a second moment, in which all bases agree but for a sign.
SHAPES = {"w": (2, 3), "tall": (4, 3), "deep": (2, 2, 2), "b": (2,)}
SIZE = sum(int(np.prod(shape)) for shape in SHAPES.values())
MIX = np.sin(np.arange(SIZE**2, dtype=float) ** 2).reshape(SIZE, SIZE) / SIZE**0.5
TARGETS = np.cos(np.arange(STEPS * SIZE, dtype=float) ** 2).reshape(STEPS, SIZE)  # one a step


def split(vector: Any) -> dict[str, Any]:
    """The arrays whose numbers are those of ``vector``, in the order of ``SHAPES``."""
    ends = np.cumsum([int(np.prod(shape)) for shape in SHAPES.values()])
    starts = [0, *ends[:-1]]
    places = zip(SHAPES.items(), starts, ends, strict=True)
    return {name: vector[start:end].reshape(shape) for (name, shape), start, end in places}


START = split(np.sin(1 + np.arange(SIZE, dtype=float)))


def gradient(vector: Any, target: Any) -> Any:
    """Of ``|MIX @ x - target|**2 / 2 + sum(x**4) / 4``, with any library's arrays."""
    return MIX.T @ (MIX @ vector - target) + vector**3


def numbers(params: dict[str, Any]) -> np.ndarray:
    """All parameters in one vector, the inverse of ``split``."""
    return np.concatenate([np.ravel(params[name]) for name in SHAPES])


def trajectory(call: str) -> list[list[float]]:
    """All parameters after each step."""
    import pytorch_optimizer
    import torch

    class Float64Only(torch.overrides.TorchFunctionMode):
        """SOAP factorizes in float32, and SAM has its norm in it; here they keep all digits."""

        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.float or any(x is torch.float32 for x in args):
                return args[0]
            return func(*args, **(kwargs or {}))

    torch.set_default_dtype(torch.float64)
    tensors = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in START.items()}
    groups = {
        "params": list(tensors.values()),
        "matrices": [x for x in tensors.values() if x.ndim < 3],  # and vectors
    }
    optimizer = eval(call, vars(pytorch_optimizer) | {"torch": torch} | groups)
    group = optimizer.param_groups[0]

    def values():
        return numbers({name: x.detach().numpy() for name, x in tensors.items()})

    def differentiate(target):
        for name, g in split(gradient(values(), target)).items():
            tensors[name].grad = torch.tensor(g)

    # Shampoo there computes roots at each n-th step; it counts from where the first step is one.
    if "preconditioning_compute_steps=" in call:
        group["step"] = optimizer.preconditioning_compute_steps - 1
    # The statistics of DASH begin at 0, without an inverse; here they begin as Shampoo's do there.
    if call.startswith("DASH"):
        differentiate(TARGETS[0])
        optimizer.init_group(group)
        for block in (block for x in groups["matrices"] for block in optimizer.state[x]["blocks"]):
            for statistic in block["statistics"]:
                statistic.add_(1e-3 * torch.eye(statistic.shape[-1]))
    seen = []
    for target in TARGETS:
        differentiate(target)
        with Float64Only():
            optimizer.step(functools.partial(differentiate, target))
        seen.append(values().tolist())
    return seen


def main() -> None:
    """Write the data file."""
    versions = {package: importlib.metadata.version(package) for package in PACKAGES}
    lines = [f"{json.dumps(call)}: {json.dumps(trajectory(call))}" for call in CALLS.values()]
    calls = ",\n".join(lines).replace("], [", "],\n[")
    DATA.write_text(f'{{"versions": {json.dumps(versions)},\n"calls": {{\n{calls}\n}}}}\n')


if __name__ == "__main__":
    main()
