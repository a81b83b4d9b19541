"""Transformations: updates in, updates out, one family a file."""

from gdjax.transforms.adam import (
    ScaleByAdamState,
    ScaleByAmsgradState,
    scale_by_adam,
    scale_by_amsgrad,
)
from gdjax.transforms.adaptive import (
    ScaleByRmsState,
    ScaleByRssState,
    ScaleByRStdDevState,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
)
from gdjax.transforms.cautious import (
    CautiousState,
    cautious,
)
from gdjax.transforms.clipping import (
    clip,
    clip_by_global_norm,
)
from gdjax.transforms.denominators import (
    ScaleByAdamaxState,
    ScaleByBeliefState,
    ScaleByYogiState,
    scale_by_adamax,
    scale_by_belief,
    scale_by_yogi,
)
from gdjax.transforms.differences import (
    CorrectByMarsState,
    ScaleByAdanState,
    ScaleByOptimisticGradientState,
    correct_by_mars,
    scale_by_adan,
    scale_by_optimistic_gradient,
)
from gdjax.transforms.mixtures import (
    ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
)
from gdjax.transforms.momentum import (
    TraceState,
    trace,
)
from gdjax.transforms.normalized import (
    ScaleByAdoptState,
    ScaleByNovogradState,
    scale_by_adopt,
    scale_by_novograd,
)
from gdjax.transforms.rectified import (
    ScaleByRadamState,
    scale_by_radam,
)
from gdjax.transforms.regularization import (
    add_decayed_weights,
)
from gdjax.transforms.scaling import (
    scale,
    scale_by_learning_rate,
)
from gdjax.transforms.signs import (
    ScaleByLionState,
    scale_by_lion,
    scale_by_sign,
)

__all__ = [
    "CautiousState",
    "CorrectByMarsState",
    "ScaleByAdamState",
    "ScaleByAdamaxState",
    "ScaleByAdanState",
    "ScaleByAdemamixState",
    "ScaleByAdoptState",
    "ScaleByAmsgradState",
    "ScaleByBeliefState",
    "ScaleByLionState",
    "ScaleByNovogradState",
    "ScaleByOptimisticGradientState",
    "ScaleByRStdDevState",
    "ScaleByRadamState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "ScaleBySimplifiedAdEMAMixState",
    "ScaleByYogiState",
    "TraceState",
    "add_decayed_weights",
    "cautious",
    "clip",
    "clip_by_global_norm",
    "correct_by_mars",
    "scale",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adan",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_amsgrad",
    "scale_by_belief",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_novograd",
    "scale_by_optimistic_gradient",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_sign",
    "scale_by_simplified_ademamix",
    "scale_by_stddev",
    "scale_by_yogi",
    "trace",
]
