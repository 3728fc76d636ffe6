#!/bin/sh
# Builds the commit twice, in two folders, the second time with an empty cache, another
# time zone, language and umask, and compares digests. With cuda.h, also the program for cards.
set -eu
root="$(git rev-parse --show-toplevel)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# build FOLDER: programs in FOLDER/bin
build() {
  git clone -q --shared "$root" "$1"
  (
    cd "$1"
    CGO_ENABLED=0 go build -trimpath -buildvcs=true -o bin/ ./cmd/gespann
    if printf '#include <cuda.h>\n' | ${CC:-cc} ${CGO_CFLAGS:-} -I/usr/local/cuda/include -E - >/dev/null 2>&1; then
      CGO_ENABLED=1 CGO_LDFLAGS="${CGO_LDFLAGS:--L/usr/local/cuda/lib64/stubs}" \
        go build -trimpath -buildvcs=true -tags gpu -o bin/gespann-cuda ./cmd/gespann
    fi
  )
}

build "$work/one"
(
  umask 077
  export GOCACHE="$work/cache" TZ=Pacific/Auckland LC_ALL=C
  build "$work/another/folder"
)
for program in gespann gespann-cuda; do
  if [ ! -e "$work/one/bin/$program" ]; then
    echo "reproducible: $program: skipped: there is no cuda.h"
    continue
  fi
  one="$(sha256sum <"$work/one/bin/$program")"
  two="$(sha256sum <"$work/another/folder/bin/$program")"
  if [ "$one" != "$two" ]; then
    echo "reproducible: $program: got ${one%% *}, then ${two%% *}"
    echo "hint: go version -m and diffoscope show what differs"
    exit 1
  fi
  echo "reproducible: $program: ${one%% *} twice"
done
