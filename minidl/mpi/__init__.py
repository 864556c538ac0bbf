"""One network trained by many processes, on one machine or many, over MPI; needs the extra `mpi`.

`parallel = DataParallel()`, `Trainer(..., parallel=parallel)`, and `mpiexec -n 8 python train.py`;
see docs/distributed.md.
"""

from __future__ import annotations

from minidl.mpi.data_parallel import DataParallel

__all__ = ["DataParallel"]
