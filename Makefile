# make          build the binary into bin/
# make test     what CI runs first
# make check    everything else that must hold before a change lands
# make bench    race PyTorch, Keras and Gorgonia, write bench/README.md; PYTHON names interpreters
# make bench-check  time this build against that of the commit BASE; fails beyond noise
# make fuzz     every fuzz target for FUZZTIME each
# make gpu      build bin/gespann-cuda beside bin/gespann; needs CUDA 12 headers, no card
# make cuda-vet vet, build and link the gpu backend; skipped where there are no headers
# make gpu-check  all checks and benchmarks that need a card, into bin/gpu-check.json, in less
#               than 8 minutes; DATA is the folder of MNIST. Where bin/ has been built
#               before, by make gpu gpu-test, it needs only a driver
# make gpu-pack  the same for another machine: all that it needs, in bin/gpu
# make gpu-emulate  most of gpu-check without a card: a driver runs the kernels on the host;
#               needs CUDA 12 headers and g++
# make kernels  compile changed CUDA kernels to kernels/ptx; needs nvcc
# make spark    the application of Spark in dist/launch/spark from its Java; needs javac 17 or later,
#               and Spark's jars at SPARK_HOME
# make kernels-check  ptxas accepts every kernel for every card, without spills
# make vuln     known faults in what the program calls; VULNDB is the database: the version of a
#               module, latest, or an address. Skipped where it cannot be had
# make sbom     a bill of materials for bin/gespann (CycloneDX): modules, licences, digests
# make reproducible  the commit built twice, in two folders with two caches: the same bytes, or
#               it fails; minutes
# make loc      lines of Go per package

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0
CYCLONEDX = github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
VULNDB ?= v0.0.0-20261105234957-e22db6528018
# What go.mod names is what a release is built with.
RELEASE_GO = $(shell sed -n 's/^toolchain //p' go.mod)
FUZZTIME ?= 20s
PYTHON ?= python3
BASE ?= HEAD~1
WORKS ?=
DATA ?= ../shared/data/mnist

.PHONY: build test check format vet static fresh race cross bench bench-check fuzz loc \
  gpu gpu-test cuda-vet gpu-check gpu-emulate gpu-pack kernels kernels-check spark \
  vuln sbom reproducible

build:
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/gespann

test:
	go test ./...

check: format vet static fresh race cross cuda-vet kernels-check vuln sbom

format:
	@unformatted="$$(gofmt -l $$(git ls-files '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "gofmt -w needed:"; echo "$$unformatted"; exit 1; fi

vet:
	go vet ./...

# The import walls and documentation rules are tests of internal/house.
static:
	go run $(STATICCHECK) ./...
	go test -count=1 ./internal/house

# Generated files: regenerate, and fail if anything moved.
fresh:
	go generate ./...
	git diff --exit-code -- '*.s' '*.go' configs

race:
	CGO_ENABLED=1 go test -race -short ./...

cross:
	CGO_ENABLED=0 go build -o /dev/null ./cmd/gespann
	go test -short -tags noasm ./backend/...
	GOARCH=arm64 CGO_ENABLED=0 go vet ./...
	GOARCH=arm64 CGO_ENABLED=0 go build -o /dev/null ./cmd/gespann
	GOARCH=386 CGO_ENABLED=0 go build -o /dev/null ./cmd/gespann

bench:
	go run ./bench -python $(PYTHON) -works "$(WORKS)" -write bench/README.md

# BASE must have this check itself.
bench-check:
	@dir="$$(mktemp -d)"; trap 'git worktree remove --force "$$dir/base"; rm -rf "$$dir"' EXIT; \
	git worktree add --quiet --detach "$$dir/base" $(BASE) && \
	(cd "$$dir/base" && go build -o "$$dir/bench-base" ./bench) && \
	go build -o "$$dir/bench" ./bench && "$$dir/bench" -against "$$dir/bench-base" -works "$(WORKS)" -rounds 15

fuzz:
	@for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; \
	  done; done

# Where the toolkit is installed, its stub of the driver's library is what to link.
GPU_ENV = CGO_ENABLED=1 CGO_LDFLAGS="$${CGO_LDFLAGS:--L/usr/local/cuda/lib64/stubs}"

gpu: build
	$(GPU_ENV) go build -trimpath -tags gpu -o bin/gespann-cuda ./cmd/gespann

gpu-test:
	$(GPU_ENV) go test -c -trimpath -tags gpu -o bin/gpu-check ./backend/cuda

cuda-vet:
	@if printf '#include <cuda.h>\n' | $${CC:-cc} $$CGO_CFLAGS -I/usr/local/cuda/include -E - >/dev/null 2>&1; then \
	  $(GPU_ENV) go vet -tags gpu ./backend/cuda ./cmd/gespann && \
	  $(GPU_ENV) go build -tags gpu -o /dev/null ./cmd/gespann && \
	  $(GPU_ENV) go test -c -tags gpu -o /dev/null ./backend/cuda; \
	else echo "cuda-vet: skipped: there is no cuda.h"; fi

# DATA has the files of MNIST.
gpu-check:
	@test -x bin/gpu-check -a -x bin/gespann-cuda || $(MAKE) gpu gpu-test
	bin/gpu-check -sections -report bin/gpu-check.json -program bin/gespann-cuda -data "$(DATA)" -python "$(PYTHON)"

gpu-emulate: gpu gpu-test
	@mkdir -p bin/emulated
	$${CXX:-g++} -std=c++17 -O1 -ffp-contract=off -fno-strict-aliasing -w -shared -fPIC \
	  -o bin/emulated/libcuda.so.1 kernels/host/libcuda.cpp
	$${CXX:-g++} -std=c++17 -O1 -w -shared -fPIC -o bin/emulated/libcublasLt.so.12 kernels/host/libcublaslt.cpp
	LD_LIBRARY_PATH=$(CURDIR)/bin/emulated bin/gpu-check -sections -test.short -small -budget 40m \
	  -report bin/emulated/gpu-check.json -program bin/gespann-cuda -python ""

# What a card's machine needs, in one folder. It says what to run there.
gpu-pack:
	@rm -rf bin/gpu && mkdir -p bin/gpu/pack/mnist
	$(GPU_ENV) go build -trimpath -ldflags "-s -w" -tags gpu -o bin/gpu/pack/gespann-cuda ./cmd/gespann
	$(GPU_ENV) go test -c -trimpath -ldflags "-s -w" -tags gpu -o bin/gpu/pack/gpu-check ./backend/cuda
	cp "$(DATA)"/*-ubyte.gz bin/gpu/pack/mnist/
	tar -C bin/gpu/pack -c . | gzip -9 >bin/gpu/pack.tar.gz
	cp backend/cuda/testdata/check.sh bin/gpu/
	@rm -r bin/gpu/pack; size="$$(du -m bin/gpu/pack.tar.gz | cut -f1)"; \
	if [ "$$size" -ge 60 ]; then echo "gpu-pack: $$size MiB, want less than 60"; exit 1; fi; \
	echo "bin/gpu: $$size MiB. On a machine with a card and its driver:  sh bin/gpu/check.sh"

kernels:
	cd kernels && go run ./generate

kernels-check:
	@if command -v ptxas >/dev/null; then cd kernels && go run ./generate -check; \
	else echo "kernels-check: skipped: there is no ptxas"; fi

# The database is a module: its folder data/osv has a file for each fault. The
# programs are checked as the compiler of RELEASE_GO makes them.
vuln:
	@case "$(VULNDB)" in \
	*:*) db="$(VULNDB)";; \
	*) dir="$$(cd / && go mod download -json "golang.org/x/vulndb@$(VULNDB)" | sed -n 's/^\t"Dir": "\(.*\)",*$$/\1/p')"; \
	  db="$${dir:+file://$$dir/data/osv}";; esac; \
	if [ -z "$$db" ]; then echo "vuln: skipped: the database golang.org/x/vulndb@$(VULNDB) cannot be had"; exit 0; fi; \
	export GOTOOLCHAIN="$(RELEASE_GO)"; \
	if ! go version; then echo "vuln: skipped: there is no $(RELEASE_GO)"; exit 0; fi; \
	go run $(GOVULNCHECK) -db "$$db" ./...

sbom: build
	@dir="$$(mktemp -d)"; trap 'rm -rf "$$dir"' EXIT; \
	CGO_ENABLED=0 go run $(CYCLONEDX) app -json -licenses -std -noserial -notimestamp -main cmd/gespann \
	  -output "$$dir/bill" . 2>"$$dir/words" || { cat "$$dir/words"; exit 1; }; \
	go run ./release/sbom -program bin/gespann -o bin/gespann.cdx.json <"$$dir/bill" && \
	echo "bin/gespann.cdx.json: $$(grep -c '"purl"' bin/gespann.cdx.json) modules"

reproducible:
	sh release/reproducible.sh

loc:
	@for p in $$(go list -f '{{.Dir}}' ./...); do \
	  printf '%6d  %s\n' "$$(cat $$p/*.go | wc -l)" "$${p#$(CURDIR)/}"; done

# The jar is committed; a test compares the digest of its source.
spark:
	dist/launch/spark/build.sh
