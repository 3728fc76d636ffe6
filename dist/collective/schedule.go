package collective

import (
	"fmt"
	"strings"
)

// A Transfer is a piece of the vector that one member sends to another in a
// round. The receiver adds it to its own, or keeps it in place of its own.
type Transfer struct {
	From, To int // ranks
	Piece    int
	Add      bool
}

// A Schedule says what is sent in each round. All transfers of a round can be
// under way at the same time; those of a round need what came in the rounds before.
type Schedule [][]Transfer

// RingSchedule returns the ring all-reduce of n members and n pieces: n−1 rounds
// after which member r has the sum of piece r+1 (reduce-scatter), then n−1 in which
// the sums go around (all-gather). Every member sends 2(n−1)/n of the vector, which
// is the least possible.
//
// Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters
// of workstations, J. Parallel Distrib. Comput. 69 (2009).
func RingSchedule(n int) Schedule {
	var s Schedule
	for round := range 2 * (n - 1) {
		transfers := make([]Transfer, n)
		for r := range n {
			transfers[r] = Transfer{
				From: r, To: (r + 1) % n,
				Piece: (r - round + 2*n) % n,
				Add:   round < n-1,
			}
		}
		s = append(s, transfers)
	}
	return s
}

// ExchangeSchedule returns the direct exchange of n members and n pieces: every
// member sends each other what it has of that one's piece, and then each sends the sum
// of its own piece to all. Every member gets all of a piece at once, and so can add in
// any order that it wants.
func ExchangeSchedule(n int) Schedule {
	if n == 1 {
		return Schedule{nil, nil}
	}
	s := make(Schedule, 2)
	for from := range n {
		for to := range n {
			if from != to {
				s[0] = append(s[0], Transfer{From: from, To: to, Piece: to, Add: true})
				s[1] = append(s[1], Transfer{From: from, To: to, Piece: from})
			}
		}
	}
	return s
}

// of returns what a member sends and receives in a round.
func (s Schedule) of(rank, round int) (out, in []Transfer) {
	for _, t := range s[round] {
		if t.From == rank {
			out = append(out, t)
		}
		if t.To == rank {
			in = append(in, t)
		}
	}
	return out, in
}

// String returns the schedule as text, with at most 8 transfers in a line.
func (s Schedule) String() string {
	var b strings.Builder
	for i, round := range s {
		for k, t := range round {
			if k > 0 && k%8 == 0 {
				fmt.Fprintf(&b, "\n%14s", "")
			}
			if k == 0 {
				verb := "keep"
				if t.Add {
					verb = "add"
				}
				fmt.Fprintf(&b, "round %2d %-5s", i+1, verb)
			}
			fmt.Fprintf(&b, "  %d -%d-> %d", t.From, t.Piece, t.To)
		}
		if len(round) > 0 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// A step is what one member does in a round: pieces to send and to receive.
type step struct {
	send, recv int
	add        bool
}

// steps returns what the member of a rank does, if it sends and receives one piece
// in every round, as in a ring.
func (s Schedule) steps(rank int) []step {
	all := make([]step, len(s))
	for i := range s {
		out, in := s.of(rank, i)
		all[i] = step{send: out[0].Piece, recv: in[0].Piece, add: in[0].Add}
	}
	return all
}

// line is the number of elements in a cache line: pieces and buckets begin at one.
const line = 16

// cut returns piece i of n elements cut into so many parts as equal as can be.
func cut(n, parts, i int) (lo, hi int) { return border(n, parts, i), border(n, parts, i+1) }

func border(n, parts, i int) int {
	if i == parts {
		return n
	}
	return n / line * i / parts * line
}
