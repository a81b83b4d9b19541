"""Transformations: updates in, updates out, one family a file."""

from gdjax.transforms.adadelta import ScaleByAdaDeltaState, scale_by_adadelta
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
from gdjax.transforms.clipping import clip, clip_by_global_norm
from gdjax.transforms.factored import (
    FactoredState,
    ScaleBySM3State,
    scale_by_factored_rms,
    scale_by_sm3,
)
from gdjax.transforms.layerwise import (
    descend_and_shrink,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_trust_ratio,
)
from gdjax.transforms.momentum import (
    EmaState,
    ScaleByLionState,
    TraceState,
    ema,
    scale_by_lion,
    trace,
)
from gdjax.transforms.parameter_free import (
    ScaleByDistanceOverGradientsState,
    scale_by_distance_over_gradients,
    scale_by_polyak,
)
from gdjax.transforms.regularization import add_decayed_weights
from gdjax.transforms.rprop import ScaleByRpropState, scale_by_rprop
from gdjax.transforms.scaling import scale, scale_by_learning_rate, scale_by_schedule

__all__ = [
    "EmaState",
    "FactoredState",
    "ScaleByAdaDeltaState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByDistanceOverGradientsState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRpropState",
    "ScaleByRssState",
    "ScaleBySM3State",
    "TraceState",
    "add_decayed_weights",
    "clip",
    "clip_by_global_norm",
    "descend_and_shrink",
    "ema",
    "scale",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_distance_over_gradients",
    "scale_by_factored_rms",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_polyak",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_sm3",
    "scale_by_stddev",
    "scale_by_trust_ratio",
    "trace",
]
