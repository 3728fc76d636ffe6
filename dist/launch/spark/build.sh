#!/usr/bin/env bash
# Builds gespann-spark.jar from Gespann.java: the same bytes from the same javac. SPARK_HOME has the
# jars of Spark to compile against; javac is of Java 17 or later.
set -euo pipefail
cd "$(dirname "$0")"
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
mkdir "$dir/classes"
javac --release 8 -Xlint:-options -nowarn -proc:none -cp "${SPARK_HOME:?where Spark is}/jars/*" -d "$dir/classes" Gespann.java
sha256sum Gespann.java >"$dir/classes/Gespann.java.sha256" # a test compares
rm -f gespann-spark.jar
jar --create --date=1980-02-01T00:00:00Z --file gespann-spark.jar --main-class Gespann -C "$dir/classes" .
ls -l gespann-spark.jar
