"""Trajectories of PyTorch, Keras and scikit-learn, as oracles of "Coming from elsewhere".

Runs every call of these libraries that stands above an expression on that page, and writes where
it leads to `torch.json`, `keras.json` and `sklearn.json` beside this file, in float64. In a
virtual environment of its own, from the root of the repository:

    pip install torch keras scikit-learn
    python -m tests.trajectories.make

The tests need only the data.
"""

import ast
import importlib.metadata
import json
import os
import pathlib
import re

import numpy as np

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parents[1] / ".github/docs/coming-from-elsewhere.md"
LIBRARIES = {"torch": "torch", "keras": "keras", "sklearn": "scikit-learn"}

STEPS = 10
SEEN = (1, 2, 3, 5, 10)  # the steps whose parameters are stored
COUNTS = 24  # the values of a schedule that are stored
LEARNING_RATE = 0.1  # of the optimizer under PyTorch's schedulers
EPOCH = 2  # steps an epoch under scikit-learn's `MLPClassifier`
SAMPLES = 8  # samples an epoch there

# One element of "w" starts at a point where its gradient is exactly 0, and stays there.
START = {
    "w": np.array([[0.5, -1.0, 0.0], [-0.25, 0.75, 1.5]]),
    "b": np.array([0.125, -2.0]),
}
INPUT, TARGET = np.array([[1.0, -0.5, 0.0]]), np.array([0.25, 1.0])


def gradient(params):
    """Of ``|w @ input + b - target|**2 / 2 + sum(w**4) / 4``, with any library's arrays."""
    w, b = params["w"], params["b"]
    residual = (w * INPUT).sum(1) + b - TARGET
    return {"w": residual[:, None] * INPUT + w * w * w, "b": residual}


# Rows and targets of a linear regression, one a step.
ROWS = np.sin(np.arange(3 * STEPS, dtype=float)).reshape(STEPS, 3)
TARGETS = np.cos(np.arange(STEPS, dtype=float))


def expressions(text):
    """Each call of another library on the page, and the Python code of gdjax below it.

    The code is that of the whole block up to the expression, which comes last: earlier lines
    define what it uses.
    """
    found = {}
    preamble = []
    for block in re.findall(r"^```python\n(.*?)^```", text, re.M | re.S):
        lines, end = block.splitlines(), 0
        for node in ast.parse(block).body:
            code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            comments = [
                line[1:].strip() for line in lines[end : node.lineno - 1] if line[:1] == "#"
            ]
            end = node.end_lineno
            if isinstance(node, ast.Expr) and comments:
                found[" ".join(comments)] = code
            else:
                start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
                preamble.append("\n".join(lines[start - 1 : node.end_lineno]))
    return "\n".join(preamble), found


def numbers(params):
    """All parameters of a step in one list, "w" first."""
    return [float(x) for name in START for x in np.ravel(np.asarray(params[name]))]


def torch_trajectory(call):
    """Parameters after each step, or the learning rate of each step under a scheduler."""
    import torch

    torch.set_default_dtype(torch.float64)
    params = {name: torch.nn.Parameter(torch.tensor(value)) for name, value in START.items()}
    optimizer = torch.optim.SGD(params.values(), LEARNING_RATE)
    made = eval(call, {"torch": torch, "params": list(params.values()), "optimizer": optimizer})
    scheduler = made if isinstance(made, torch.optim.lr_scheduler.LRScheduler) else None
    values = []
    if scheduler is not None and scheduler.optimizer is optimizer:
        for _ in range(COUNTS):
            values.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return values
    optimizer = made if scheduler is None else scheduler.optimizer
    for step in range(1, STEPS + 1):
        grads = gradient({name: p.detach().numpy() for name, p in params.items()})
        for name, param in params.items():
            param.grad = torch.tensor(grads[name])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        if step in SEEN:
            values.append(numbers({name: p.detach() for name, p in params.items()}))
    return values


def keras_trajectory(call):
    """Parameters after each step, or the values of a schedule."""
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.config.set_floatx("float64")
    made = eval(call, {"keras": keras})
    if isinstance(made, keras.optimizers.schedules.LearningRateSchedule):
        return [float(made(np.float64(count))) for count in range(COUNTS)]
    params = {name: keras.Variable(value, dtype="float64") for name, value in START.items()}
    values = []
    for step in range(1, STEPS + 1):
        grads = gradient({name: p.numpy() for name, p in params.items()})
        grads = [keras.ops.convert_to_tensor(grads[name], "float64") for name in params]
        made.apply(grads, list(params.values()))
        if step in SEEN:
            values.append(numbers({name: p.numpy() for name, p in params.items()}))
    return values


def sklearn_trajectory(call):
    """Parameters after each step: of a linear regression, or of the solvers of ``MLP*``."""
    import sklearn.linear_model
    import sklearn.neural_network
    from sklearn.neural_network import _stochastic_optimizers as solvers

    made, values = eval(call, {"sklearn": sklearn}), []
    if isinstance(made, sklearn.linear_model.SGDRegressor):
        for step in range(1, STEPS + 1):
            made.partial_fit(ROWS[step - 1 : step], TARGETS[step - 1 : step])
            if step in SEEN:
                values.append([float(x) for x in made.coef_])
        return values
    params = {name: value.copy() for name, value in START.items()}
    rate = made.learning_rate_init
    if made.solver == "adam":
        solver = solvers.AdamOptimizer(
            list(params.values()), rate, made.beta_1, made.beta_2, made.epsilon
        )
    else:
        solver = solvers.SGDOptimizer(
            list(params.values()),
            rate,
            made.learning_rate,
            made.momentum,
            made.nesterovs_momentum,
            made.power_t,
        )
    for step in range(1, STEPS + 1):
        grads = gradient(params)
        solver.update_params(list(params.values()), [grads[name] for name in params])
        if step % EPOCH == 0:
            solver.iteration_ends(step // EPOCH * SAMPLES)
        if step in SEEN:
            values.append(numbers(params))
    return values


def torch_names():
    """All optimizers and schedulers of PyTorch."""
    import torch

    return _subclasses(torch.optim, torch.optim.Optimizer) + _subclasses(
        torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler
    )


def keras_names():
    """All optimizers and schedules of Keras."""
    import keras

    return _subclasses(keras.optimizers, keras.optimizers.Optimizer) + _subclasses(
        keras.optimizers.schedules, keras.optimizers.schedules.LearningRateSchedule
    )


def sklearn_names():
    """The estimators of scikit-learn that descend gradients."""
    return ["MLPClassifier", "MLPRegressor", "SGDClassifier", "SGDRegressor"]


def _subclasses(module, base):
    public = {name: x for name, x in vars(module).items() if name[0] != "_"}
    return sorted(n for n, x in public.items() if isinstance(x, type) and base in x.__mro__[1:])


NAMES = {"torch": torch_names, "keras": keras_names, "sklearn": sklearn_names}
TRAJECTORIES = {
    "torch": torch_trajectory,
    "keras": keras_trajectory,
    "sklearn": sklearn_trajectory,
}


def main():
    """Write the data files."""
    _, calls = expressions(PAGE.read_text())
    for library, package in LIBRARIES.items():
        trajectory = TRAJECTORIES[library]
        data = {call: trajectory(call) for call in calls if call.startswith(f"{library}.")}
        lines = [f"{json.dumps(call)}: {json.dumps(values)}" for call, values in data.items()]
        head = {
            "versions": {package: importlib.metadata.version(package)},
            "names": NAMES[library](),
        }
        text = f'{json.dumps(head)[:-1]},\n"calls": {{\n{",".join(lines)}\n}}}}\n'
        (HERE / f"{library}.json").write_text(text.replace("]],", "]],\n").replace("],[", "], ["))


if __name__ == "__main__":
    main()
