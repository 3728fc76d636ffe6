//go:build unix

package launch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// submitting launches two workers through a spark-submit that is a script, for YARN.
func submitting(t *testing.T, script string) Crew {
	t.Helper()
	fake(t, map[string]string{"spark-submit": script})
	t.Setenv("SPARK_HOME", "")
	l, err := For("spark:yarn")
	if err != nil {
		t.Fatal(err)
	}
	work := team(t.Logf)
	work.Resources = Resources{CPUs: 3, GPUs: 1, MemoryMiB: 1000}
	work.Invite = func(string) (*Invitation, error) { return &Invitation{Coordinator: "127.0.0.1:7"}, nil }
	crew, err := l.Launch(t.Context(), work)
	if err != nil {
		t.Fatal(err)
	}
	return crew
}

// TestSparkSubmit checks what spark-submit is asked for, that the key is not among its
// arguments, and that it ends with the crew.
func TestSparkSubmit(t *testing.T) {
	dir := t.TempDir()
	crew := submitting(t, `echo "$GESPANN_KEY" >`+dir+`/key; echo $$ >`+dir+`/pid; echo "$@" >`+dir+`/new && mv `+dir+`/new `+dir+`/args; exec sleep 600`)
	content := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, name))
		return strings.TrimSpace(string(text))
	}
	for range 200 {
		if content("args") != "" {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err := crew.Close(); err != nil {
		t.Error(err)
	}
	args, key := content("args"), content("key")
	for _, want := range []string{"--class Gespann", "--conf spark.master=yarn", "--conf spark.app.name=gespann-a-run", "--conf spark.submit.deployMode=client",
		"--conf spark.driver.host=127.0.0.1", "--conf spark.executor.instances=2", "--conf spark.executor.cores=3", "--conf spark.task.cpus=3",
		"--conf spark.executor.memory=512m", "--conf spark.executor.memoryOverhead=1256m", "--conf spark.executor.resource.gpu.amount=1",
		"--conf spark.task.resource.gpu.amount=1", "/gespann-spark.jar http://127.0.0.1:"} {
		if !strings.Contains(args, want) {
			t.Errorf("spark-submit was asked for\n%s\nwant %s", args, want)
		}
	}
	if len(key) != 64 || strings.Contains(args, key) {
		t.Errorf("the key is %q, the arguments are\n%s", key, args)
	}
	if _, err := os.Stat("/proc/" + content("pid")); err == nil {
		t.Error("spark-submit is left")
	}
}

// TestSparkSubmitFails has a spark-submit that fails, and checks what is said.
func TestSparkSubmitFails(t *testing.T) {
	if testing.Short() {
		t.Skip("waits between attempts")
	}
	crew := submitting(t, `echo 'Exception in thread "main" org.apache.spark.SparkException: no YARN'; echo '	at x.y.Z'; exit 1`)
	select {
	case <-crew.Failed():
	case <-time.After(time.Minute):
		t.Fatal("goes on")
	}
	if got, want := crew.Err().Error(), `launch: Spark: spark-submit: exit status 1: Exception in thread "main" org.apache.spark.SparkException: no YARN`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	crew.Close()
}
