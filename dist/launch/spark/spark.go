// Package spark holds the application of Spark whose tasks run workers: Gespann.java, and
// what build.sh makes of it.
package spark

import _ "embed" // of the jar

// Jar is the application. Its main class is Gespann.
//
//go:embed gespann-spark.jar
var Jar []byte

// Source is what it is made of.
//
//go:embed Gespann.java
var Source []byte
