#!/usr/bin/env bash
# with_engine.sh COMMAND...: runs it with a container engine in reach, named by $CONTAINER_ENGINE
# (docker unless set, or podman). Scripts that may lie in ../shared/container start a private docker,
# which accepts --gpus all without a GPU, where none runs, and set up podman.
set -euo pipefail
scripts=../shared/container
export CONTAINER_ENGINE=${CONTAINER_ENGINE:-docker}
if [ -e "$scripts/ctr_env.sh" ] && { [ "$CONTAINER_ENGINE" = podman ] || ! docker info >/dev/null 2>&1; }; then
    export ENGINE=$CONTAINER_ENGINE PRIVATE_ENGINE=$scripts
    # shellcheck source=/dev/null
    . "$scripts/ctr_env.sh"
    if [ "$ENGINE" = docker ]; then dockerd_up --gpu-stub; else podman_setup; fi
fi
"$CONTAINER_ENGINE" info >/dev/null || {
    echo "no container engine: start docker, or set CONTAINER_ENGINE=podman" >&2
    exit 1
}
exec "$@"
