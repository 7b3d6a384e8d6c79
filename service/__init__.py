"""The service: a journal of entries, a worker that applies them, and the interfaces around.

Sums of the linear algebra under numpy are split among as many threads as there are processors, and
their last bits with them. One thread gives the same digests on every machine of a family; what
runs at once here are streams.
"""

import os

for _library in ("OPENBLAS", "MKL", "OMP"):
    os.environ.setdefault(f"{_library}_NUM_THREADS", "1")
