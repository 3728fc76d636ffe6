# gespann for the CPU: one static program and the certificates for downloads.
#
#   docker build -t gespann --build-arg VERSION=$(git describe --always --tags) .
#   docker run --rm -u $(id -u):$(id -g) -v "$PWD:/data" gespann train configs/digits-mlp.yaml
#
# It needs no rights, and writes to /data and /tmp only. Where that is to be enforced:
#
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -u $(id -u):$(id -g) -v "$PWD:/data" gespann train configs/digits-mlp.yaml
#
# Paths are below /data, where the container starts; what is downloaded stays in
# /data/.cache. For NVIDIA cards see Dockerfile.cuda.
FROM golang:1.26.10-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=""
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=$VERSION" -o /out/gespann ./cmd/gespann \
 && mkdir -m 0777 /out/data /out/tmp && mkdir -p /out/data/.config/gespann/certs

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/gespann /usr/local/bin/gespann
COPY --from=build --chown=65534:65534 /out/data /data
COPY --from=build --chown=65534:65534 /out/tmp /tmp
ENV PATH=/usr/local/bin HOME=/data
USER 65534:65534
WORKDIR /data
# A coordinator in it has a page at :8080; what has none is not asked.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["gespann", "health", "--optional"]
ENTRYPOINT ["gespann"]
CMD ["--help"]
