#!/bin/sh
# Usage: generate.sh PYTHON OUT. Makes Python, pyi and the descriptor set of all contracts in folder OUT.
# PYTHON is the generator's own environment: its output must run on protobuf 5.29 and later.
set -eu
python=$1 out=$2
cd "$(dirname "$0")"
files=$(find mesh -name '*.proto' | sort)
messages="$files buf/validate/validate.proto"
services=$(printf '%s\n' $files | grep '_service.proto$' || true)
mkdir -p "$out/mesh"
PATH="$(dirname "$python"):$PATH"
"$python" -m grpc_tools.protoc -I. -Ivendor --python_out="$out" --mypy_out=quiet:"$out" \
    --include_imports --descriptor_set_out="$out/mesh/descriptor.binpb" $messages
[ -z "$services" ] || "$python" -m grpc_tools.protoc -I. -Ivendor --grpc_python_out="$out" \
    --mypy_grpc_out=quiet:"$out" $services
find "$out/mesh" "$out/buf" -type d ! -name __pycache__ -exec touch {}/__init__.py \;
