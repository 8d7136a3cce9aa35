//! How long it takes to read Dockerfiles: 3,000 typical ones must take less than a second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sawagani::dockerfile::{Expander, parse};

/// Files of the usual sizes, with the usual instructions.
const TYPICAL: [&str; 3] = [GO, PYTHON, OLD];

/// How many of them take less than a second: more than any repository has.
const FILES: usize = 3_000;

const GO: &str = r#"# syntax=docker/dockerfile:1
ARG GO_VERSION=1.23
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION}-bookworm AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    go mod download && \
    # checked against go.sum
    go mod verify
COPY . .
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
RUN --mount=type=cache,target=/root/.cache/go-build <<EOT
set -eu
go build -trimpath -ldflags "-s -w" -o /out/server ./cmd/server
go test ./...
EOT

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tzdata \
    && rm -rf /var/lib/apt/lists/*
LABEL org.opencontainers.image.title="server" org.opencontainers.image.vendor="somebody else"
COPY --from=build --chown=65532:65532 /out/server /usr/local/bin/
COPY --chmod=0644 config/*.yaml /etc/server/
EXPOSE 8080/tcp 9090
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=3s CMD ["server", "check"]
ENTRYPOINT ["/usr/local/bin/server"]
CMD ["--config", "/etc/server/server.yaml"]
"#;

const PYTHON: &str = r#"# syntax=docker/dockerfile:1.7
# check=skip=SecretsUsedInArgOrEnv
FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=off \
    PATH="/opt/venv/bin:$PATH"
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# The compiler is needed for wheels only.
FROM base AS wheels
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update && apt-get install -y --no-install-recommends \
        build-essential \
        libpq-dev \
        # for the image library
        libjpeg-dev \
        zlib1g-dev
COPY requirements.txt requirements-dev.txt /tmp/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python -m venv /opt/venv && pip install -r /tmp/requirements.txt

FROM base
ARG REVISION=unknown
ARG USER_ID=1000 GROUP_ID=1000
LABEL org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="https://example.org/${REVISION:-main}"
RUN groupadd --gid "$GROUP_ID" app && useradd --uid "$USER_ID" --gid app --create-home app
COPY --from=wheels --link /opt/venv /opt/venv
WORKDIR /srv/app
COPY --chown=app:app . .
COPY <<-"EOF" /usr/local/bin/entrypoint
	#!/bin/sh
	set -e
	python manage.py migrate --noinput
	exec "$@"
	EOF
RUN chmod 0755 /usr/local/bin/entrypoint \
 && python manage.py collectstatic --noinput
USER app
VOLUME ["/srv/media", "/srv/static"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --start-period=30s --retries=5 CMD curl -fsS http://127.0.0.1:8000/health || exit 1
ENTRYPOINT ["entrypoint"]
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--workers", "4", "app.wsgi"]
"#;

const OLD: &str = r#"FROM ubuntu:22.04
MAINTAINER somebody <somebody@example.org>
ENV DEBIAN_FRONTEND noninteractive
ENV JAVA_HOME /usr/lib/jvm/java-11
RUN apt-get update -qq
RUN apt-get install -qq -y openjdk-11-jre-headless curl unzip
ADD https://example.org/releases/server-1.2.3.tar.gz /tmp/
RUN mkdir -p /opt/server && tar -xzf /tmp/server-1.2.3.tar.gz -C /opt/server --strip-components=1
ADD conf/server.xml /opt/server/conf/
ADD run.sh /run.sh
RUN chmod +x /*.sh
ONBUILD ADD app.war /opt/server/webapps/
EXPOSE 8080 8443
CMD /run.sh
"#;

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let bytes: usize = typical_files().map(str::len).sum();
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("3,000 typical files", |bencher| {
        bencher.iter(|| typical_files().for_each(|file| drop(black_box(parse(black_box(file))))));
    });
    let long = format!("FROM a\nRUN true {}", "&& \\\n    true ".repeat(20_000));
    group.throughput(Throughput::Bytes(long.len() as u64));
    group.bench_function("one instruction of 20,000 lines", |bencher| {
        bencher.iter(|| parse(black_box(&long)));
    });
    group.finish();

    let lookup = |name: &str| (name == "version").then(|| "v1.2.3-rc1".to_owned());
    criterion.bench_function("expand", |bencher| {
        bencher.iter(|| {
            let mut expander = Expander::new('\\', &lookup);
            expander.word(black_box(
                "/opt/${version#v}/${missing:-a \"b\"}/${version%%-*}",
            ))
        });
    });
}

/// As many files as `FILES` says.
fn typical_files() -> impl Iterator<Item = &'static str> {
    TYPICAL.into_iter().cycle().take(FILES)
}

criterion_group!(all, benches);
criterion_main!(all);
