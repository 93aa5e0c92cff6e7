# Slipway in containers. The registry needs no privileges:
#
#   docker build --target registry -t slipway .
#   docker run -d --network host -v slipway:/var/lib/slipway slipway
#
# The worker runs containers of its own and needs all of them:
#
#   docker build --target worker -t slipway-worker .
#   docker run -d --network host --privileged --cgroupns host -v /run/slipway:/run/slipway \
#     -v slipway-worker:/var/lib/slipway slipway-worker
#
# As they come, both listen on loopback alone: hence the host's network. A registry with TLS and accounts (docs/secure.md)
# may listen anywhere:
#
#   docker run -d -p 5000:5000 -v slipway:/var/lib/slipway -v /etc/slipway:/etc/slipway:ro \
#     slipway registry --config /etc/slipway/slipway.yaml
ARG NODE_IMAGE=node:24

FROM ${NODE_IMAGE} AS packages
WORKDIR /opt/slipway
COPY package.json package-lock.json .npmrc ./
# The base image has a Node: the one that comes as a package is for hosts without.
RUN npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/node-linux-* node_modules/.bin/node

FROM ${NODE_IMAGE} AS base
WORKDIR /opt/slipway
COPY package.json LICENSE ./
COPY bin bin
COPY config config
COPY src src
COPY --from=packages /opt/slipway/node_modules node_modules
RUN ln -s /opt/slipway/bin/slipway /usr/local/bin/slipway \
 && groupadd --system slipway \
 && useradd --system --gid slipway --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin slipway \
 && install -d -o slipway -g slipway -m 0700 /var/lib/slipway
ENV SLIPWAY_DATA_DIR=/var/lib/slipway SLIPWAY_LOG_FORMAT=json
VOLUME /var/lib/slipway
ENTRYPOINT ["slipway"]

# Each account has compiled code of its own: a process that strips types itself keeps 15 MB for it (ADR 1).
FROM base AS worker
RUN node src/cli/compile.mjs
RUN apt-get update \
 && apt-get install -y --no-install-recommends runc conmon socat iptables iproute2 netavark \
    golang-github-containers-common procps ca-certificates catatonit e2fsprogs xz-utils bzip2 libdeflate0 \
 && rm -rf /var/lib/apt/lists/*
# Containers' monitors outlive the processes that started them: something has to reap them.
ENTRYPOINT ["catatonit", "--", "slipway"]
CMD ["worker"]

FROM base AS registry
RUN install -d -o slipway -g slipway .cache
USER slipway
RUN node src/cli/compile.mjs
EXPOSE 5000
# Alive is what answers: in HTTP, or in TLS with whichever certificate.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["node", "-e", "const at = process.env.SLIPWAY_REGISTRY_LISTEN ?? '127.0.0.1:5000'; const ask = (scheme) => new Promise((yes, no) => require(scheme).get(`${scheme}://${at}/healthz`, { rejectUnauthorized: false }, (r) => (r.statusCode < 500 ? yes() : no())).on('error', no)); ask('http').catch(() => ask('https')).then(() => process.exit(0), () => process.exit(1))"]
CMD ["registry"]
