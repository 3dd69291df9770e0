package reach

import (
	"fmt"
	"net/netip"
	"slices"
)

// Range is the addresses from First to Last, of one family.
type Range struct{ First, Last netip.Addr }

// everywhere is all addresses: IPv4, then IPv6, which is how netip orders them.
func everywhere() []Range {
	v6 := [16]byte{}
	for i := range v6 {
		v6[i] = 0xff
	}
	return []Range{
		{netip.AddrFrom4([4]byte{}), netip.AddrFrom4([4]byte{255, 255, 255, 255})},
		{netip.IPv6Unspecified(), netip.AddrFrom16(v6)},
	}
}

// prefixRange returns the addresses of a prefix, host bits ignored.
func prefixRange(p netip.Prefix) Range {
	p = p.Masked()
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return Range{p.Addr(), last}
}

func parseCIDR(s string) (Range, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Range{}, fmt.Errorf("%q is not a CIDR", clip(s))
	}
	if p.Addr().Is4In6() {
		return Range{}, fmt.Errorf("%q mixes IPv4 and IPv6", clip(s))
	}
	return prefixRange(p), nil
}

// Has reports whether an address lies in the range.
func (r Range) Has(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// String writes the range as a prefix if it is one, else as "first-last".
func (r Range) String() string {
	first, last := r.First.As16(), r.Last.As16()
	alike := 0 // bits at the begin
	for alike < 128 && (first[alike/8]^last[alike/8])&(0x80>>(alike%8)) == 0 {
		alike++
	}
	if p, err := r.First.Prefix(alike - 128 + r.First.BitLen()); err == nil && prefixRange(p) == r {
		return p.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// RangeOf returns the addresses of a prefix.
func RangeOf(p netip.Prefix) Range { return prefixRange(p) }

// Meets reports whether two ranges have an address in common.
func (r Range) Meets(s Range) bool { return r.Has(s.First) || s.Has(r.First) }

// without cuts a hole into ranges.
func without(ranges []Range, hole Range) []Range {
	var out []Range
	for _, r := range ranges {
		if r.First.BitLen() != hole.First.BitLen() || hole.Last.Less(r.First) || r.Last.Less(hole.First) {
			out = append(out, r)
			continue
		}
		if r.First.Less(hole.First) {
			out = append(out, Range{r.First, hole.First.Prev()})
		}
		if hole.Last.Less(r.Last) {
			out = append(out, Range{hole.Last.Next(), r.Last})
		}
	}
	return out
}

// cut returns the addresses as ranges none of which any of the given ones
// splits, in order.
func cut(ranges []Range) []Range {
	whole := everywhere()
	starts := []netip.Addr{whole[0].First, whole[1].First}
	for _, r := range ranges {
		starts = append(starts, r.First)
		if next := r.Last.Next(); next.IsValid() {
			starts = append(starts, next)
		}
	}
	slices.SortFunc(starts, netip.Addr.Compare)
	starts = slices.Compact(starts)
	out := make([]Range, len(starts))
	for i, first := range starts {
		last := whole[0].Last
		switch {
		case i+1 < len(starts) && starts[i+1].BitLen() == first.BitLen():
			last = starts[i+1].Prev()
		case first.Is6():
			last = whole[1].Last
		}
		out[i] = Range{first, last}
	}
	return out
}

// find returns the index of the range that an address lies in.
func find(cuts []Range, a netip.Addr) int {
	i, ok := slices.BinarySearchFunc(cuts, a, func(r Range, a netip.Addr) int { return r.First.Compare(a) })
	if !ok {
		i--
	}
	return i
}

// clip shortens foreign text for a message.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
