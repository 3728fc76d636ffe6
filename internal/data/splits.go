package data

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Splits say which rows of the data a run trains on and which it has held out: how
// they were drawn, and what is in them. A run keeps its own, so that what it held out
// stays held out.
type Splits struct {
	Seed       uint64  `json:"split_seed"`
	Validation float64 `json:"validation_split"` // fraction drawn; 0: none
	Test       float64 `json:"test_split"`       // fraction drawn; 0: none, or the source has a part for it

	Parts [3]SplitRows `json:"-"` // by Split; in JSON by name
	// Rows is the sum modulo 2^128 of the beginnings of all rows' SHA-256, in
	// hexadecimal. It is the same for the same rows in any order.
	Rows string `json:"rows_in_any_order"`
}

// SplitRows say what is in one split.
type SplitRows struct {
	Rows int `json:"rows"`
	// Digest is a SHA-256, in hexadecimal, of the rows' SHA-256, in order; "" of no
	// rows.
	Digest string `json:"sha256,omitempty"`
}

// NewSplits describes the parts of a set, whose tables are still as they were read:
// not normalised.
func NewSplits(seed uint64, validation, test float64, parts *[3]Part) Splits {
	s := Splits{Seed: seed, Validation: validation, Test: test}
	var all rowSum
	for i := range parts {
		s.Parts[i] = parts[i].digest(&all)
	}
	s.Rows = all.String()
	return s
}

// A rowSum adds up digests of rows, as two numbers of 64 bits.
type rowSum struct{ hi, lo uint64 }

func (s *rowSum) add(digest *[sha256.Size]byte) {
	lo := s.lo + binary.LittleEndian.Uint64(digest[:8])
	s.hi += binary.LittleEndian.Uint64(digest[8:16])
	if lo < s.lo {
		s.hi++
	}
	s.lo = lo
}

func (s rowSum) String() string { return fmt.Sprintf("%016x%016x", s.hi, s.lo) }

// digest describes the rows of a part, and adds them to all. A row is its features and
// targets, little-endian.
func (p *Part) digest(all *rowSum) SplitRows {
	if p.Rows == 0 {
		return SplitRows{}
	}
	whole := sha256.New()
	var row []byte
	for i := range p.Rows {
		row = p.Y.appendRow(p.X.appendRow(row[:0], i), i)
		sum := sha256.Sum256(row)
		whole.Write(sum[:])
		all.add(&sum)
	}
	return SplitRows{Rows: p.Rows, Digest: hex.EncodeToString(whole.Sum(nil))}
}

// appendRow appends the elements of row i, little-endian.
func (t *Table) appendRow(b []byte, i int) []byte {
	size := t.RowSize()
	switch {
	case t.U8 != nil:
		return append(b, t.U8[i*size:][:size]...)
	case t.F32 != nil:
		piece := bytesOf(t.F32[i*size:][:size])
		return append(b, piece.little(len(piece.bytes))...)
	case t.I32 != nil:
		piece := bytesOf(t.I32[i*size:][:size])
		return append(b, piece.little(len(piece.bytes))...)
	case t.F64 != nil:
		for _, v := range t.F64[i*size:][:size] {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	return b
}

// A SplitError reports rows that are not those of a run.
type SplitError struct {
	Split    Split
	Got, Run SplitRows
	// Same says that the data as a whole has the run's rows.
	Same bool
	why  string
}

func (e *SplitError) Error() string {
	return fmt.Sprintf("the %v rows are not those of the run: %s", e.Split, e.why)
}

// Check compares the rows of some splits with those that a run has recorded: a
// *SplitError names the first that differs. A run that has recorded none, as those of
// earlier versions, cannot be compared: see Recorded.
func (s *Splits) Check(run *Splits, which ...Split) error {
	for _, split := range which {
		got, want := s.Parts[split], run.Parts[split]
		if got == want || !run.Recorded() {
			continue
		}
		e := &SplitError{Split: split, Got: got, Run: want, Same: s.Rows == run.Rows}
		switch {
		case s.Seed != run.Seed || s.Validation != run.Validation || s.Test != run.Test:
			e.why = fmt.Sprintf("they were drawn with %s; now with %s", run.Drawn(), s.Drawn())
		case got.Rows != want.Rows:
			e.why = fmt.Sprintf("the run has %d, here are %d", want.Rows, got.Rows)
		case e.Same:
			e.why = "the data has the same rows in another order"
			if split == Validation && s.Validation > 0 || split == Test && s.Test > 0 {
				e.why += ", so that others were drawn"
			}
		default:
			e.why = fmt.Sprintf("they are as many, %d, with other content (sha256 %.12s, the run has %.12s)",
				got.Rows, cmp.Or(got.Digest, "none"), cmp.Or(want.Digest, "none"))
		}
		return e
	}
	return nil
}

// Recorded reports whether the splits say what is in them.
func (s *Splits) Recorded() bool { return s.Rows != "" }

// Drawn says how the splits were drawn.
func (s *Splits) Drawn() string {
	return fmt.Sprintf("split_seed %d, validation_split %v, test_split %v", s.Seed, s.Validation, s.Test)
}

// HoldsOut reports whether the rows that s sets aside for a split were not trained on
// by another run, as far as can be known: yes where there are none or they are those
// that the other run has set aside too, no where they are its training rows, or both have
// the same data and s sets other rows aside.
func (s *Splits) HoldsOut(split Split, run *Splits) (yes, known bool) {
	got := s.Parts[split]
	if got.Rows == 0 || got == run.Parts[Validation] || got == run.Parts[Test] {
		return true, true
	}
	return false, run.Recorded() && (s.Rows == run.Rows || got == run.Parts[Train])
}

// splitsJSON is the JSON form of Splits.
type splitsJSON struct {
	splitsFields
	Training   SplitRows `json:"training"`
	Validation SplitRows `json:"validation"`
	Test       SplitRows `json:"test"`
}

// splitsFields are those fields whose tags are used.
type splitsFields Splits

// MarshalJSON names the parts.
func (s Splits) MarshalJSON() ([]byte, error) {
	return json.Marshal(splitsJSON{splitsFields(s), s.Parts[Train], s.Parts[Validation], s.Parts[Test]})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Splits) UnmarshalJSON(text []byte) error {
	var in splitsJSON
	if err := json.Unmarshal(text, &in); err != nil {
		return err
	}
	*s = Splits(in.splitsFields)
	s.Parts = [3]SplitRows{Train: in.Training, Validation: in.Validation, Test: in.Test}
	for _, p := range s.Parts {
		if p.Rows < 0 || (p.Rows == 0) != (p.Digest == "") {
			return errors.New("splits: rows without a digest, or a digest without rows")
		}
	}
	return nil
}
