"""Services of the mesh, one package each."""

import os

# gRPC's fork handlers run in every child between fork and exec, and now and then end it there:
# measured, one in four of the processes that load strategies. Read when gRPC starts, so set here.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
