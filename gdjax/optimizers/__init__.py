"""Named optimizers: compositions of transformations, without mathematics of their own."""

from gdjax.optimizers.adam import (
    adam,
    adamw,
    amsgrad,
    nadam,
    nadamw,
)
from gdjax.optimizers.aggregation import (
    dpsgd,
)
from gdjax.optimizers.averaging import (
    schedule_free_adamw,
    schedule_free_sgd,
)
from gdjax.optimizers.denominators import (
    adabelief,
    adamax,
    adamaxw,
    radam,
    yogi,
)
from gdjax.optimizers.descent import (
    adagrad,
    rmsprop,
    sgd,
)
from gdjax.optimizers.federated import (
    fedadagrad,
    fedadam,
    fedavg,
    fedyogi,
)
from gdjax.optimizers.layerwise import (
    adafactor,
    fromage,
    lamb,
    lars,
    sm3,
)
from gdjax.optimizers.noisy import (
    noisy_sgd,
    perturbed_sgd,
    psgld,
    sgld,
)
from gdjax.optimizers.numerators import (
    adan,
    ademamix,
    adopt,
    cautious_adamw,
    mars_adamw,
    novograd,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    simplified_ademamix,
)
from gdjax.optimizers.preconditioned import (
    muon,
    shampoo,
    soap,
)
from gdjax.optimizers.self_scaled import (
    adadelta,
    dadapt_adamw,
    polyak_sgd,
    prodigy,
    rprop,
)
from gdjax.optimizers.signs import (
    lion,
    sign_sgd,
    signum,
)

__all__ = [
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "ademamix",
    "adopt",
    "amsgrad",
    "cautious_adamw",
    "dadapt_adamw",
    "dpsgd",
    "fedadagrad",
    "fedadam",
    "fedavg",
    "fedyogi",
    "fromage",
    "lamb",
    "lars",
    "lion",
    "mars_adamw",
    "muon",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "novograd",
    "optimistic_adam_v2",
    "optimistic_gradient_descent",
    "perturbed_sgd",
    "polyak_sgd",
    "prodigy",
    "psgld",
    "radam",
    "rmsprop",
    "rprop",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
    "sgld",
    "shampoo",
    "sign_sgd",
    "signum",
    "simplified_ademamix",
    "sm3",
    "soap",
    "yogi",
]
