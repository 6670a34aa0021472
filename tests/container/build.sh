#!/usr/bin/env bash
# build.sh TAG: builds the image with its labels. Run it through with_engine.sh.
set -euo pipefail
tag=$1
builder=$CONTAINER_ENGINE
network=()
if [ -n "${PRIVATE_ENGINE:-}" ]; then
    # A private engine has no base image and no way to the package index but by this script; the
    # build after it takes every layer from the cache.
    bash "$PRIVATE_ENGINE/build_and_run.sh" -n -t "$tag" .
    [ "$CONTAINER_ENGINE" = docker ] || exit 0
    [ ! -x /usr/bin/docker ] || builder=/usr/bin/docker
    network=(--network=host)
fi
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
DOCKER_BUILDKIT=1 "$builder" build -t "$tag" "${network[@]}" \
    ${PIP_EXTRA_INDEX_URL:+--build-arg PIP_EXTRA_INDEX_URL="$PIP_EXTRA_INDEX_URL"} \
    --build-arg VERSION="$(sed -n 's/^__version__ = "\(.*\)"/\1/p' fusionprep/_version.py)" \
    --build-arg REVISION="$revision" \
    --build-arg CREATED="$(date -u +%Y-%m-%dT%H:%M:%SZ)" .
# the images of this name before, which would fill the disk
"$builder" image prune --force --filter label=org.opencontainers.image.title=fusionapp >/dev/null
