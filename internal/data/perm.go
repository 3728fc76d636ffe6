package data

import (
	"fmt"
	"math/bits"
)

// rounds is the number of Feistel rounds. Four make a pseudo-random permutation
// of large sets (Luby and Rackoff, SIAM J. Comput. 17, 1988); small sets, whose
// halves have few bits, need more. With 8, a count over 20000 orders of 5 rows is
// visibly uneven; with 12, it is not.
const rounds = 12

// A Perm is an order of the rows 0 ≤ i < n that depends on a seed and an epoch
// only. It needs no memory per row, and any machine can compute any part of it.
//
// It is an alternating Feistel network over the least number of bits that holds
// n-1, walked along its cycle until it meets a row again. In unsigned integers
// of 64 (mix, s) and 32 bits (all else):
//
//	G        = 0x9E3779B97F4A7C15
//	mix(z)   = z ^= z>>30; z *= 0xBF58476D1CE4E5B9; z ^= z>>27; z *= 0x94D049BB133111EB; z ^ z>>31
//	s        = mix(mix(seed + G) ^ epoch)
//	key[r]   = mix(s + (r+1)·G) >> 32                            r = 0..11
//	f(v)     = v ^= v>>16; v *= 0x85EBCA6B; v ^= v>>13; v *= 0xC2B2AE35; v ^ v>>16
//	bits     = number of bits of n-1; hiBits = bits/2 rounded down; loBits = bits - hiBits
//	At(i):   x = i; do {
//	           hi = x >> loBits; lo = x & (2^loBits - 1)
//	           for r = 0..11: r even: lo ^= f(hi ^ key[r]) & (2^loBits - 1)
//	                         r odd:  hi ^= f(lo ^ key[r]) & (2^hiBits - 1)
//	           x = hi << loBits | lo
//	         } while (x ≥ n)
//
// where a negative epoch is its two's complement. On average At walks less than
// twice, because n is more than half of 2^bits.
//
// Source: Black and Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002
// (cycle walking); the mixers are those of SplitMix64 and MurmurHash3.
type Perm struct {
	n              uint32
	loBits         uint8
	loMask, hiMask uint32
	key            [rounds]uint32
	ordered        bool
}

// NewPerm returns the order of n rows for an epoch; 0 ≤ n < 2^32. Epochs below
// 0 are orders for other uses, such as splitting.
func NewPerm(n int, seed uint64, epoch int) Perm {
	p := InOrder(n)
	p.ordered = false
	if n > 1 {
		width := bits.Len32(p.n - 1)
		p.loBits = uint8(width - width/2)
		p.loMask = 1<<p.loBits - 1
		p.hiMask = 1<<(width/2) - 1
	}
	const gamma = 0x9E3779B97F4A7C15
	s := mix64(mix64(seed+gamma) ^ uint64(epoch))
	for r := range p.key {
		p.key[r] = uint32(mix64(s+uint64(r+1)*gamma) >> 32)
	}
	return p
}

// InOrder returns the order 0, 1, ..., n-1.
func InOrder(n int) Perm {
	if n < 0 || uint64(n) >= 1<<32 {
		panic(fmt.Sprintf("data: invariant: permutation of %d rows", n))
	}
	return Perm{n: uint32(n), ordered: true}
}

// Len returns the number of rows.
func (p Perm) Len() int { return int(p.n) }

// At returns the row at position 0 ≤ i < n.
func (p Perm) At(i int) int { return int(p.at(uint32(i))) }

// Fill writes the rows at positions first, first+1, ... to rows.
func (p Perm) Fill(rows []uint32, first int) {
	for i := range rows {
		rows[i] = p.at(uint32(first + i))
	}
}

func (p *Perm) at(x uint32) uint32 {
	if x >= p.n {
		panic(fmt.Sprintf("data: invariant: position %d of %d rows", x, p.n))
	}
	if p.ordered {
		return x
	}
	for {
		hi, lo := x>>p.loBits, x&p.loMask
		for r := 0; r < rounds; r += 2 {
			lo ^= mix32(hi^p.key[r]) & p.loMask
			hi ^= mix32(lo^p.key[r+1]) & p.hiMask
		}
		if x = hi<<p.loBits | lo; x < p.n {
			return x
		}
	}
}

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func mix32(v uint32) uint32 {
	v = (v ^ v>>16) * 0x85EBCA6B
	v = (v ^ v>>13) * 0xC2B2AE35
	return v ^ v>>16
}
