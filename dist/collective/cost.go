package collective

import "math"

// A Hop is what it takes to send a message: Latency + bytes·PerByte, in seconds (the α-β model:
// Hockney, Parallel Computing 20, 1994).
type Hop struct{ Latency, PerByte float64 }

// A Network has hops within a machine and between machines. All that a machine sends to others
// at a time shares one line, and so does all that it receives.
type Network struct{ Within, Between Hop }

// UsualNetwork is what schedules are chosen by: shared memory, of which a tensor of 2.7 MB takes
// half a millisecond, and Ethernet of 1 Gbit/s. A faster one makes nested sums worth less, and with
// several workers on a machine still worth it: see bench/README.md.
var UsualNetwork = Network{
	Within:  Hop{Latency: 20e-6, PerByte: 1 / 5.4e9},
	Between: Hop{Latency: 100e-6, PerByte: 1 / 118e6},
}

// A Crew is a sum to be made: of vectors of so many bytes, over machines with so many members.
// Members of a machine follow on each other in the order of ranks.
type Crew struct {
	net      Network
	machines []int
	bytes    float64
}

// Crew returns the sum of vectors of so many bytes over machines with so many members each.
func (n Network) Crew(machines []int, bytes int) Crew { return Crew{n, machines, float64(bytes)} }

// A Price is what a schedule takes.
type Price struct {
	Seconds float64
	Rounds  int     // that follow on each other
	Bytes   float64 // that all members send
	Between float64 // of them, between machines
	Busiest float64 // of those, sent by the machine that sends most
}

// size returns how many members there are, and how many the largest machine has.
func (c Crew) size() (n, most int) {
	for _, m := range c.machines {
		n, most = n+m, max(most, m)
	}
	return n, most
}

// slowest returns the hop that a schedule over all members waits for.
func (c Crew) slowest() Hop {
	if len(c.machines) > 1 {
		return c.net.Between
	}
	return c.net.Within
}

// buckets returns how many the vector is cut into, which are summed one after the other.
func (c Crew) buckets() float64 { return max(1, math.Ceil(c.bytes/(4*Bucket))) }

// Ring returns the price of RingSchedule of n members and B bytes, bucket by bucket, of which each
// machine has one line out and one in:
//
//	2(n−1)·(α·buckets + β·B/n)
//
// Source: Patarasuk and Yuan, J. Parallel Distrib. Comput. 69 (2009).
func (c Crew) Ring() Price { return c.ring(1) }

// Scattered is Ring where no member's neighbour is on its machine, so that members share lines:
//
//	2(n−1)·(α·buckets + β·m·B/n), for m members of a machine
func (c Crew) Scattered() Price {
	_, most := c.size()
	if len(c.machines) == 1 {
		most = 1
	}
	return c.ring(most)
}

func (c Crew) ring(lines int) Price {
	n, _ := c.size()
	if n < 2 {
		return Price{}
	}
	hop, rounds := c.slowest(), 2*(n-1)
	each := float64(rounds) * c.bytes / float64(n)
	p := Price{Rounds: rounds * int(c.buckets()), Bytes: each * float64(n)}
	p.Seconds = float64(p.Rounds)*hop.Latency + each*float64(lines)*hop.PerByte
	if m := len(c.machines); m > 1 {
		p.Between, p.Busiest = min(each*float64(m*lines), p.Bytes), each*float64(lines)
	}
	return p
}

// Exchange returns the price of ExchangeSchedule, in which a member sends its messages one after
// the other, and all of a machine at once:
//
//	2·((n−1)·α + β·max over machines of m·(n−m)·B/n)
//
// or, on one machine, 2(n−1)·(α + β·B/n). Source: the direct algorithm of Thakur, Rabenseifner and Gropp,
// Int. J. High Perform. Comput. Appl. 19 (2005), section 4.2, for reduce-scatter, and its mirror.
func (c Crew) Exchange() Price {
	n, _ := c.size()
	if n < 2 {
		return Price{}
	}
	hop, piece := c.slowest(), c.bytes/float64(n)
	p := Price{Rounds: 2, Bytes: 2 * float64(n*(n-1)) * piece}
	load := float64(n-1) * piece
	for _, m := range c.machines {
		out := float64(m*(n-m)) * piece
		p.Between += 2 * out
		p.Busiest = max(p.Busiest, 2*out)
	}
	if len(c.machines) > 1 {
		load = p.Busiest / 2
	}
	p.Seconds = 2 * (float64(n-1)*hop.Latency + load*hop.PerByte)
	return p
}

// Halving returns the price of recursive halving and doubling, which Gespann does not have, with
// the largest pieces between members of a machine:
//
//	2·log₂n·α + 2·(n−1)/n·β·B
//
// where n is a power of two, else two hops of all bytes more; on machines, the rounds within them at their
// price. Source: Thakur, Rabenseifner and Gropp (2005), section 4.3.
func (c Crew) Halving() Price {
	n, most := c.size()
	if n < 2 {
		return Price{}
	}
	p, half := Price{}, c.bytes/2
	pow := 1 << int(math.Log2(float64(n)))
	for near := 1; near < pow; near, half = 2*near, half/2 {
		hop, lines := c.net.Within, 1
		if near >= most {
			hop, lines = c.net.Between, most
			p.Busiest += 2 * half * float64(lines)
			p.Between += 2 * half * float64(pow)
		}
		p.Rounds += 2
		p.Bytes += 2 * half * float64(pow)
		p.Seconds += 2 * (hop.Latency + float64(lines)*half*hop.PerByte)
	}
	if pow < n {
		hop := c.slowest()
		p.Rounds += 2
		p.Bytes += 2 * c.bytes * float64(n-pow)
		p.Seconds += 2 * (hop.Latency + c.bytes*hop.PerByte)
	}
	return p
}

// Nested returns the price of a Nested: chains of at most m members, which chunks of c bytes pass one behind the
// other, and a ring of M machines, bucket by bucket:
//
//	2·((m−1)·(α₁ + β₁·c) + β₁·B) + 2(M−1)·(α₂·buckets + β₂·B/M)
//
// without the first part where m is 1. Source: the chain pipelined, as in Träff, Ripke, Siebert et al., EuroPVM/MPI 2008, and
// the ring as above.
func (c Crew) Nested() Price {
	n, most := c.size()
	if n < 2 {
		return Price{}
	}
	m := len(c.machines)
	buckets := c.buckets()
	p := Price{Rounds: (2*(most-1) + 2*(m-1)) * int(buckets), Bytes: 2 * float64(n-m) * c.bytes}
	if most > 1 {
		first := min(c.bytes, 4*chunk)
		p.Seconds = 2 * (buckets*float64(most-1)*(c.net.Within.Latency+first*c.net.Within.PerByte) + c.bytes*c.net.Within.PerByte)
	}
	if m > 1 {
		p.Busiest = 2 * float64(m-1) / float64(m) * c.bytes
		p.Between = p.Busiest * float64(m)
		p.Bytes += p.Between
		p.Seconds += 2*float64(m-1)*buckets*c.net.Between.Latency + p.Busiest*c.net.Between.PerByte
	}
	return p
}
