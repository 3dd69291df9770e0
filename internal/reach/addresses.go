package reach

import (
	"fmt"
	"net/netip"
	"slices"
)

// Range is a run of IP addresses of one family, both ends included.
type Range struct{ From, To netip.Addr }

// String writes the range by its ends.
func (r Range) String() string { return r.From.String() + "-" + r.To.String() }

// everywhere are all addresses of both families.
func everywhere() []Range {
	out := make([]Range, 0, 2)
	for _, p := range []string{"0.0.0.0/0", "::/0"} {
		out = append(out, rangeOf(netip.MustParsePrefix(p)))
	}
	return out
}

// rangeOf returns the addresses of a prefix.
func rangeOf(p netip.Prefix) Range {
	from := p.Masked().Addr()
	last := from.AsSlice()
	for i := range last {
		bits := p.Bits() - i*8
		if bits < 8 {
			last[i] |= 0xff >> max(bits, 0)
		}
	}
	to, _ := netip.AddrFromSlice(last)
	return Range{from, to}
}

// block is an ipBlock: a prefix without some others.
type block struct{ ranges []Range }

// newBlock reads a CIDR and its exceptions.
func newBlock(cidr string, except []string) (block, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return block{}, fmt.Errorf("%q is not a CIDR", cidr)
	}
	b := block{[]Range{rangeOf(p)}}
	for _, e := range except {
		x, err := netip.ParsePrefix(e)
		if err != nil {
			return block{}, fmt.Errorf("%q is not a CIDR", e)
		}
		b.ranges = without(b.ranges, rangeOf(x))
	}
	return b, nil
}

// without takes a range out of some.
func without(all []Range, x Range) []Range {
	var out []Range
	for _, r := range all {
		if r.From.BitLen() != x.From.BitLen() || x.To.Less(r.From) || r.To.Less(x.From) {
			out = append(out, r)
			continue
		}
		if r.From.Less(x.From) {
			out = append(out, Range{r.From, x.From.Prev()})
		}
		if x.To.Less(r.To) {
			out = append(out, Range{x.To.Next(), r.To})
		}
	}
	return out
}

// has reports whether an address is in the block.
func (b block) has(a netip.Addr) bool {
	for _, r := range b.ranges {
		if r.From.BitLen() == a.BitLen() && !a.Less(r.From) && !r.To.Less(a) {
			return true
		}
	}
	return false
}

// partition cuts all addresses where any of the blocks begins or ends, so that
// within a piece all addresses are alike to every block.
func partition(blocks []block) []Range {
	var out []Range
	for _, whole := range everywhere() {
		cuts := []netip.Addr{whole.From}
		for _, b := range blocks {
			for _, r := range b.ranges {
				if r.From.BitLen() != whole.From.BitLen() {
					continue
				}
				cuts = append(cuts, r.From)
				if next := r.To.Next(); next.IsValid() && r.To != whole.To {
					cuts = append(cuts, next)
				}
			}
		}
		slices.SortFunc(cuts, netip.Addr.Compare)
		cuts = slices.Compact(cuts)
		for i, from := range cuts {
			to := whole.To
			if i+1 < len(cuts) {
				to = cuts[i+1].Prev()
			}
			out = append(out, Range{from, to})
		}
	}
	return out
}

// merged joins ranges that touch. They stand in order.
func merged(all []Range) []Range {
	var out []Range
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].To.Next() == r.From {
			out[n-1].To = r.To
			continue
		}
		out = append(out, r)
	}
	return out
}
