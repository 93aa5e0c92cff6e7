# syntax=docker/dockerfile:1
# check=skip=StageNameCasing;error=true

# VERSION what to build on
ARG VERSION=1.2 MIRROR
# base where all begins
FROM --platform=$BUILDPLATFORM ${MIRROR:-docker.io}/library/debian:$VERSION AS base
FROM base as Tools

# not a description
#
ARG TOOLS="a b" VERSION
from scratch
COPY --from=tools /usr/bin/ /
