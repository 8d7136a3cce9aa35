//! How long it takes to read Dockerfiles: 3,000 typical ones should take less than a second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sawagani::dockerfile::{Expander, parse};

/// A file of the usual size, with the usual instructions.
const TYPICAL: &str = r#"# syntax=docker/dockerfile:1
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

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Bytes(TYPICAL.len() as u64));
    group.bench_function("typical", |bencher| {
        bencher.iter(|| parse(black_box(TYPICAL)));
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
            expander.word(black_box("/opt/${version#v}/${missing:-a \"b\"}/${version%%-*}"))
        });
    });
}

criterion_group!(all, benches);
criterion_main!(all);
