"""Published figures of the discrete experiments, as (mean, standard deviation over seeds).

Source: the results stored with Cui, Ahmad and Hawkins 2016 (figures 4, 5, 6 and 9), read off at
these elements; what is drawn but not stored (figures 7 and 8) was measured on the figure.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from service.rows import InputError

CURVES = "published_curves_discrete.json.gz"

Points = dict[str, list[float]]

AT_E1 = (
    *(1000, 2000, 3000, 4000, 5000, 6000, 8000, 9990),
    *(10_500, 11_000, 12_000, 13_000, 13_500, 14_000, 19_900),
)
E1: Points = {
    "HTM": [
        *(0.094, 0.190, 0.301, 0.377, 0.572, 0.753, 0.961, 1.0),
        *(0.568, 0.442, 0.718, 0.980, 0.988, 1.0, 1.0),
    ],
    "LSTM-online100": [
        *(0.605, 0.758, 0.810, 0.839, 0.854, 0.851, 0.890, 0.904),
        *(0.730, 0.734, 0.823, 0.878, 0.877, 0.873, 0.875),
    ],
    "LSTM-1000": [
        *(0.007, 0.772, 0.734, 0.738, 0.730, 0.748, 0.749, 0.734),
        *(0.412, 0.189, 0.740, 0.737, 0.706, 0.707, 0.722),
    ],
    "LSTM-3000": [
        *(0.008, 0.786, 0.876, 0.907, 0.913, 0.914, 0.931, 0.921),
        *(0.440, 0.095, 0.336, 0.589, 0.773, 0.931, 0.874),
    ],
    "LSTM-9000": [
        *(0.013, 0.748, 0.873, 0.925, 0.954, 0.965, 0.975, 0.986),
        *(0.442, 0.048, 0.148, 0.180, 0.212, 0.282, 0.978),
    ],
    "ELM": [
        *(0.103, 0.485, 0.677, 0.787, 0.773, 0.805, 0.851, 0.839),
        *(0.432, 0.116, 0.159, 0.184, 0.228, 0.277, 0.457),
    ],
    "TDNN": [
        *(0.092, 0.838, 0.972, 0.992, 0.998, 0.999, 1.0, 1.0),
        *(0.424, 0.001, 0.144, 0.625, 0.828, 0.985, 1.0),
    ],
    "TDNN-short": [
        *(0.0, 0.489, 0.516, 0.504, 0.509, 0.505, 0.541, 0.516),
        *(0.537, 0.537, 0.512, 0.501, 0.494, 0.507, 0.493),
    ],
}
E1_SPREAD = [
    *(0.048, 0.116, 0.089, 0.057, 0.140, 0.232, 0.066, 0.0),
    *(0.049, 0.102, 0.067, 0.024, 0.015, 0.0, 0.0),
]
"""Of HTM, ten seeds."""
E1_LEARNED = {
    "HTM": {"before": [7010, 1206], "after": [2935, 230]},
    "LSTM-online100": {"before": [4540], "after": [3275]},
    "LSTM-1000": {"before": [1989], "after": [2466]},
    "LSTM-3000": {"before": [2906], "after": [4059]},
    "LSTM-9000": {"before": [3959], "after": [8864]},
    "ELM": {"before": [5039], "after": [19_169]},
    "TDNN": {"before": [2766], "after": [3917]},
}
"""Elements to reach 95 % of the accuracy reached in the end, before and after the change."""

AT_E2 = (1000, 2000, 3000, 4000, 5000, 6000, 8000, 9990, 11_900)
E2: dict[int, Points] = {
    2: {
        "HTM": [0.276, 0.372, 0.531, 0.841, 0.982, 1.0, 0.991, 0.988, 0.986],
        "LSTM": [0.081, 0.382, 0.493, 0.647, 0.712, 0.659, 0.778, 0.827, 0.845],
        "ELM": [0.183, 0.164, 0.248, 0.304, 0.376, 0.366, 0.465, 0.539, 0.558],
    },
    4: {
        "HTM": [0.274, 0.344, 0.531, 0.690, 0.804, 0.761, 0.909, 0.970, 0.992],
        "LSTM": [0.214, 0.287, 0.343, 0.360, 0.396, 0.391, 0.467, 0.447, 0.488],
        "ELM": [0.243, 0.195, 0.275, 0.286, 0.322, 0.288, 0.341, 0.340, 0.356],
    },
}
E2_SPREAD: dict[int, list[float]] = {
    2: [0.070, 0.074, 0.056, 0.040, 0.011, 0.0, 0.003, 0.007, 0.009],
    4: [0.048, 0.055, 0.068, 0.083, 0.048, 0.050, 0.029, 0.012, 0.004],
}

E3 = {10: 260, 20: 515, 40: 800, 60: 1110, 80: 1555, 100: 1840}
"""Sequences seen until the last 100 ends were all expected, by length."""

E4_START = {"HTM": [0.5, 0.6], "LSTM": [0.6, 0.65]}
"""Ranges of accuracy from element 10 500 to 14 500 with noise from the start."""
E4_LATER = {"HTM": [0.46, 0.57], "LSTM": [0.35, 0.40]}
"""Ranges of accuracy once noise has set in at element 12 000; HTM was at 1.0 before."""

AT_E5 = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
E5: Points = {
    "HTM": [1.0, 1.0, 1.0, 1.0, 0.894, 0.522],
    "LSTM": [0.994, 0.585, 0.432, 0.313, 0.263, 0.269],
    "ELM": [0.960, 0.855, 0.799, 0.575, 0.570, 0.378],
}
E5_SPREAD = [0.0, 0.0, 0.0, 0.0, 0.077, 0.131]


def curves(folder: Path | None) -> dict[str, Any]:
    """Return the stored curves by figure and model, {} if there is no such file in the folder."""
    if folder is None:
        return {}
    places = (folder / CURVES, folder / "taxi" / CURVES)
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise InputError(f"{folder}: --data: got no {CURVES} in it or in its folder taxi")
    try:
        return dict(json.loads(gzip.decompress(found.read_bytes())))
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{found}: cannot be read: {error}") from None
