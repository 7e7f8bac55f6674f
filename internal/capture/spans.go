package capture

import "slices"

// span is the bytes from..to, to not included.
type span struct{ from, to int64 }

// spans are stretches of a spool, ascending, neither overlapping nor touching.
type spans []span

// add joins from..to to the set.
func (s spans) add(from, to int64) spans {
	if from >= to {
		return s
	}
	i, _ := slices.BinarySearchFunc(s, from, func(o span, at int64) int {
		if o.to < at {
			return -1
		}
		return 1
	})
	j := i
	for ; j < len(s) && s[j].from <= to; j++ {
		from, to = min(from, s[j].from), max(to, s[j].to)
	}
	return slices.Replace(s, i, j, span{from, to})
}

// without returns what of from..to is not in the set.
func (s spans) without(from, to int64) (rest spans) {
	for _, o := range s {
		if o.to <= from {
			continue
		}
		if o.from >= to {
			break
		}
		if o.from > from {
			rest = append(rest, span{from, o.from})
		}
		from = o.to
	}
	if from < to {
		rest = append(rest, span{from, to})
	}
	return rest
}

// prefix returns where the stretch that begins at 0 ends.
func (s spans) prefix() int64 {
	if len(s) == 0 || s[0].from > 0 {
		return 0
	}
	return s[0].to
}

func (s spans) len() (n int64) {
	for _, o := range s {
		n += o.to - o.from
	}
	return n
}
