package data

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestParsePrep checks what is wrong with a Prep that somebody has edited.
func TestParsePrep(t *testing.T) {
	const csv = `"csv":{"delimiter":",","header":true,"fields":["a","b","y"],"label":"y",` +
		`"columns":[{"name":"a"},{"name":"b","categories":["p","q"]}]}`
	tests := []struct{ text, want string }{
		{`{"source":"npy","shape":[2,3],"target":"numbers"}`, ""},
		{`{"source":"mnist","shape":[28,28,1],"target":"one_hot","classes":10,"scale":[0.5],"shift":[0]}`, ""},
		{`{"source":"csv","shape":[3],"target":"binary","classes":2,"labels":["n","y"],` + csv + `}`, ""},
		{`{"source":"csv","shape":[2],"ints":true,"target":"numbers",` + csv + `}`, ""},
		{`{`, "unexpected end of JSON input"},
		{`{"target":"numbers"}`, "shape: got [], want dims ≥ 1"},
		{`{"shape":[-1],"target":"numbers"}`, "shape: got [-1], want dims ≥ 1"},
		{`{"shape":[65536,65536],"target":"numbers"}`, "shape: got [65536 65536], want at most 2147483647 elements"},
		{`{"shape":[2],"target":"x"}`, `target: got "x", want classes, one_hot, binary or numbers`},
		{`{"shape":[2],"target":"classes"}`, "classes: got 0, want 1 to 2147483647"},
		{`{"shape":[2],"target":"numbers","target_row":[0]}`, "target_row: got [0], want dims ≥ 1"},
		{`{"shape":[2],"target":"classes","classes":3,"labels":["a"]}`, "labels: got 1, want 3"},
		{`{"shape":[2],"target":"numbers","scale":[1,2,3],"shift":[1,2,3]}`, "scale: got 3 elements, want 0, 1 or 2"},
		{`{"shape":[2],"target":"numbers","scale":[1],"shift":[]}`, "shift: got 0 elements, want 1"},
		{`{"shape":[2],"target":"numbers","from":[1e300],"width":[1e-300]}`, ""},
		{`{"shape":[2],"target":"numbers","from":[1,2,3],"width":[1,2,3]}`, "from: got 3 elements, want 0, 1 or 2"},
		{`{"shape":[2],"target":"numbers","from":[1,2],"width":[1]}`, "width: got 1 elements, want 2"},
		{`{"shape":[2],"target":"numbers","from":[1,2],"width":[1,0]}`, "width: element 1 is 0, want > 0"},
		{`{"shape":[2],"target":"numbers","from":[1,2],"width":[-1,1]}`, "width: element 0 is -1, want > 0"},
		{`{"shape":[2],"target":"numbers","from":[1],"width":[1],"scale":[1],"shift":[0]}`, "got from and scale, want one of them"},
		{`{"shape":[2],"target":"numbers",` + csv + `}`, "csv: columns of 3 numbers, want 2"},
		{`{"shape":[1],"target":"numbers","csv":{"label":"z","columns":[{"name":"a"}]}}`, `csv: label "z" is not one of the fields`},
	}
	for _, tt := range tests {
		p, err := ParsePrep([]byte(tt.text))
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.text, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %+v, %v, want %s", tt.text, p, err, tt.want)
		}
	}
}

func FuzzParsePrep(f *testing.F) {
	f.Add([]byte(`{"source":"npy","shape":[2,3],"target":"numbers","scale":[0.5],"shift":[-1]}`))
	f.Add([]byte(`{"source":"npy","shape":[2,3],"target":"numbers","bytes":true,"from":[0.1],"width":[1e-9],"least":1}`))
	f.Add([]byte(`{"shape":[2],"ints":true,"target":"classes","classes":2,"labels":["n","y"],` +
		`"csv":{"fields":["a","b","y"],"label":"y","columns":[{"name":"a"},{"name":"b","categories":["p"]}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePrep(text)
		if err != nil {
			return
		}
		again, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := ParsePrep(again); err != nil || !reflect.DeepEqual(q.TargetShape(), p.TargetShape()) {
			t.Errorf("%s: %+v, %v", again, q, err)
		}
	})
}
