package wire

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/gespann/gespann/internal/data"
)

// examples are valid frames: one of each kind, and some with more in them.
func examples() []Frame {
	at := Position{Epoch: 2, Index: 7, Done: 107, Sums: Stats{Rows: 64, Loss: Number(math.Inf(1)),
		Metrics: map[string][]Number{"accuracy": {1, 0.1}}}}
	span := Span{Epoch: 1, First: 3, Last: 5, Done: 103, Rates: Floats{0.1, float32(math.NaN())}}
	job := Job{ID: "run-1", Spec: []byte("model: []\n"), BatchSize: 128, Accumulate: 2, Strategy: "sync",
		Params: map[string]float64{"rho": 0.25}, Wire: "bf16", DataFrom: "auto", Workers: 4, Rows: [3]int{60000, 0, 10000},
		Vars: []Var{{Name: "w", Shape: []int{784, 10}, Role: "param"}, {Name: "step", Shape: []int{}, Role: "optimizer"}}}
	members := []Member{{ID: "a", Peer: []string{"unix:/run/a", "10.0.0.5:4000"}, Host: "h", Share: 3}, {ID: "b", Share: 1}}
	frames := []Frame{
		{Message: &Hello{Protocol: 1, ID: "a", Threads: 8, At: &at}},
		{Message: &Load{Job: "run-1", At: at}, Floats: []float32{1, -2.5, float32(math.Inf(-1))}},
		{Message: &Load{Job: "run-1"}, Floats: []float32{}},
		{Message: &Rows{Job: "run-1", Table: &data.Layout{Classes: 10}}, Bytes: []byte("rows")},
		{Message: &Open{Job: job}}, {Message: &Attach{Protocol: 1, Job: job}},
		{Message: &Form{Job: "run-1", Gen: 3, Rank: 1, Members: members}},
		{Message: &Run{Gen: 3, Span: span}}, {Message: &Train{Span: span, Sums: at.Sums, Steps: 469}},
		{Message: &Evaluated{Task: 1, Stats: []Stats{{Rows: 1}, {}}}},
		{Message: &Trained{At: at, NotFinite: &NotFinite{Step: 4, Loss: Number(math.NaN()), Layer: "dense"}}},
	}
	seen := map[string]bool{}
	for _, f := range frames {
		seen[f.Kind()] = true
	}
	for _, kind := range Kinds() {
		if !seen[kind] {
			frames = append(frames, Frame{Message: New(kind)})
		}
	}
	return frames
}

// same compares frames by their bytes: NaN is equal to itself there.
func same(t *testing.T, got, want Frame) bool {
	t.Helper()
	a, errA := Encode(got)
	b, errB := Encode(want)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	return slices.Equal(a, b)
}

// TestRoundTrip encodes and decodes a frame of every kind.
func TestRoundTrip(t *testing.T) {
	for _, f := range examples() {
		b, err := Encode(f)
		if err != nil {
			t.Errorf("%s: %v", f.Kind(), err)
			continue
		}
		got, err := Decode(b, FromAnyone, int64(len(f.Payload())))
		if err != nil {
			if Validate(f.Message) != nil {
				continue // as some empty messages
			}
			t.Errorf("%s: %v", f.Kind(), err)
			continue
		}
		if !same(t, got, f) || reflect.TypeOf(got.Message) != reflect.TypeOf(f.Message) ||
			(got.Floats == nil) != (f.Floats == nil) || (got.Bytes == nil) != (f.Bytes == nil) {
			t.Errorf("%s: got %+v, want %+v", f.Kind(), got, f)
		}
	}
}

// TestGolden pins the form of a frame, and the numbers of the kinds: programs of
// one Protocol understand each other.
func TestGolden(t *testing.T) {
	b, err := Encode(Frame{Message: &Ran{Gen: 3, At: Position{Epoch: 1, Index: 2, Done: 3,
		Sums: Stats{Rows: 4, Loss: 0.1}}, Cost: Cost{Compute: 0.5, Rows: 9}}, Floats: []float32{1, -2}})
	if err != nil {
		t.Fatal(err)
	}
	const text = `{"gen":3,"at":{"epoch":1,"index":2,"done":3,"sums":{"rows":4,"loss":"0.1"}},` +
		`"cost":{"compute":0.5,"wait":0,"comm":0,"rows":9,"sent":0,"received":0}}`
	want := "0101" + "0500" + hex.EncodeToString(binary.LittleEndian.AppendUint32(nil, uint32(len(text)))) +
		"0800000000000000" + hex.EncodeToString([]byte(text)) + "0000803f" + "000000c0"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got\n%s\nwant\n%s\na new form needs a new version", got, want)
	}
	const kinds = "hello opened need_data loaded state ran broken"
	if got := strings.Join(Kinds(), " "); !strings.HasPrefix(got, kinds) {
		t.Errorf("kinds: got %s, want %s...: a new order needs a new Protocol", got, kinds)
	}
}

// TestKinds checks that every kind makes its message.
func TestKinds(t *testing.T) {
	for i, kind := range Kinds() {
		if m := New(kind); m == nil || m.Kind() != kind || int(numbers[kind]) != i {
			t.Errorf("%d: New(%q) = %v", i, kind, m)
		}
	}
	if m := New("nonsense"); m != nil {
		t.Errorf("New(nonsense) = %v, want nil", m)
	}
}

// frame returns bytes that a stranger might send.
func frame(version, payload byte, kind string, length uint32, size uint64, rest string) []byte {
	number, ok := numbers[kind]
	if !ok {
		number = math.MaxUint16
	}
	b := binary.LittleEndian.AppendUint16([]byte{version, payload}, number)
	b = binary.LittleEndian.AppendUint32(b, length)
	b = binary.LittleEndian.AppendUint64(b, size)
	return append(b, rest...)
}

// TestDecodeErrors checks what a decoder refuses, and that it says why.
func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"empty", "got 0 bytes, want at least 16", nil},
		{"version", "got version 2, want 1", frame(2, 0, "ping", 2, 0, "{}")},
		{"kind", "got kind 65535", frame(1, 0, "?", 2, 0, "{}")},
		{"payload", "got payload 3", frame(1, 3, "ping", 2, 0, "{}")},
		{"length", "got 3 bytes, want at most 2", frame(1, 0, "ping", 3, 0, "{}")},
		{"huge length", "want at most 2", frame(1, 0, "ping", math.MaxUint32, 0, "{}")},
		{"nothing of size", "4 bytes of nothing", frame(1, 0, "ping", 2, 4, "{}abcd")},
		{"odd floats", "got 5 bytes of float32", frame(1, 1, "ping", 2, 5, "{}abcde")},
		{"too large", "larger than allowed", frame(1, 2, "ping", 2, 101, "{}")},
		{"huge", "larger than allowed", frame(1, 1, "ping", 2, math.MaxUint64-3, "{}")},
		{"short", "got 3 bytes with it, want 4", frame(1, 2, "ping", 2, 4, "{}abc")},
		{"long", "got 5 bytes with it, want 4", frame(1, 2, "ping", 2, 4, "{}abcde")},
		{"null", "no JSON object", frame(1, 0, "ping", 4, 0, "null")},
		{"no JSON", "invalid character", frame(1, 0, "ping", 2, 0, "{]")},
		{"two", "more than one", frame(1, 0, "ping", 4, 0, "{}{}")},
		{"unknown field", `unknown field "x"`, frame(1, 0, "ping", 7, 0, `{"x":1}`)},
		{"wrong type", "cannot unmarshal", frame(1, 0, "stop", 11, 0, `{"gen":"x"}`)},
		{"number", "invalid syntax", frame(1, 0, "tested", 24, 0, `{"stats":{"loss":"abc"}}`)},
		{"floats", "illegal base64", frame(1, 0, "probe", 24, 0, `{"span":{"rates":"####"}}`[:24])},
		{"not valid", "index: got -1", frame(1, 0, "progress", 19, 0, `{"at":{"index":-1}}`)},
	} {
		_, err := Decode(c.b, FromAnyone, 100)
		if c.name == "floats" { // cut in the middle: any error will do
			c.want = ""
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.name, err, c.want)
		}
	}
	_, err := Decode(frame(1, 2, "ping", 2, 101, "{}"), FromAnyone, 100)
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: got %v, want %v", err, ErrTooLarge)
	}
	for _, from := range []Source{0, FromClient, FromCoordinator, FromDriver | FromClient} {
		_, err := Decode(frame(1, 0, "need_data", 2, 0, "{}"), from, 0)
		if err == nil || !strings.Contains(err.Error(), "not one that this side may send") {
			t.Errorf("from %b: got %v, want that it may not send need_data", from, err)
		}
	}
}

// TestEncodeErrors checks what cannot be sent.
func TestEncodeErrors(t *testing.T) {
	for _, c := range []struct {
		want string
		f    Frame
	}{
		{"without a message", Frame{}},
		{"one of them", Frame{Message: &Ping{}, Floats: []float32{}, Bytes: []byte{}}},
		{"want at most 1048576", Frame{Message: &Fault{Err: strings.Repeat("x", MaxMessage)}}},
		{"unsupported value", Frame{Message: &Beat{Seconds: math.NaN()}}},
	} {
		if _, err := Encode(c.f); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q in it", err, c.want)
		}
	}
}

// FuzzDecode checks that a decoder never panics, takes no more memory than the
// bytes justify, and that what it takes for a frame round-trips.
func FuzzDecode(f *testing.F) {
	for _, e := range examples() {
		b, err := Encode(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(frame(1, 1, "load", 2, 1<<40, "{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := Decode(b, FromAnyone, limit)
		runtime.ReadMemStats(&after)
		// JSON of a few bytes makes a struct; the constant is for what the runtime
		// and the fuzzer take meanwhile.
		if used, most := after.TotalAlloc-before.TotalAlloc, uint64(200*len(b)+limit+1<<20); used > most {
			t.Errorf("%d bytes took %d of memory, want at most %d", len(b), used, most)
		}
		if err != nil {
			return
		}
		if err := Validate(got.Message); err != nil {
			t.Fatalf("decoded what is not valid: %v", err)
		}
		again, err := Encode(got)
		if err != nil {
			t.Fatalf("cannot encode what was decoded: %v", err)
		}
		back, err := Decode(again, FromAnyone, limit)
		if err != nil || !same(t, back, got) {
			t.Fatalf("got %+v, %v, want %+v", back, err, got)
		}
	})
}
