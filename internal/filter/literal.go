package filter

import (
	"math/bits"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// need says what a record must hold for a filter to be of interest: one of the texts at least. It may ask for less than
// the filter does, never for more.
type need struct {
	texts   []text // nil: nothing is known, the filter is of interest for every record
	folds   bool   // or one of the characters of foldsToASCII
	escapes bool   // or a \, behind which a field's value may be written in another way
}

// text is a fixed text with its capital letters A to Z made small: all texts are looked for regardless of case, since
// what is found is looked at again in any case.
type text struct {
	s     string
	start bool // at the record's beginning only
}

const (
	minText  = 2   // bytes: shorter ones are in nearly every record, or found as fast in other ways
	maxExact = 32  // texts that a part of an expression may stand for before it counts as unknown
	maxTexts = 256 // texts of one filter
)

// foldsToASCII are the characters beyond ASCII that an expression may hold equal to a letter of ASCII: with (?i) the
// Kelvin sign is a k and the long s is an s. Package regexp does so, by unicode.SimpleFold; no other characters do.
var foldsToASCII = [...][]byte{[]byte("\u212a"), []byte("\u017f")}

func fold(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = lower[c]
	}
	return string(b)
}

// lower makes A to Z small and leaves all other bytes.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			t[i] += 'a' - 'A'
		}
	}
	return t
}()

// worth ranks sets of texts by how few records hold one of them: a set that is twice as large must have texts that are
// a byte longer. Below 0 it is of no use.
func (n need) worth() int {
	if n.texts == nil || len(n.texts) > maxTexts {
		return -1
	}
	shortest := 16
	for _, t := range n.texts {
		if len(t.s) < minText && !t.start || t.s == "" {
			return -1
		}
		shortest = min(shortest, len(t.s))
	}
	return 100 + shortest - bits.Len(uint(len(n.texts)))
}

// better returns the need that fewer records meet.
func better(a, b need) need {
	if b.worth() > a.worth() {
		a = b
	}
	if a.worth() < 0 {
		return need{}
	}
	return a
}

// either returns the need of what holds when a or b does.
func either(a, b need) need {
	if a.texts == nil || b.texts == nil {
		return need{}
	}
	return need{slices.Concat(a.texts, b.texts), a.folds || b.folds, a.escapes || b.escapes}
}

func needOf(texts ...string) (n need) {
	for _, t := range texts {
		n.texts = append(n.texts, text{s: fold(t)})
	}
	return n
}

// needOfRegexp returns what every match of an expression holds.
func needOfRegexp(expr string) need {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return need{} // Check has said so
	}
	re = re.Simplify()
	k := study(re)
	n := better(leading(re), needOf(k.best()...))
	n.folds = k.folds
	return n
}

// leading returns the texts that an expression wants at the record's beginning.
func leading(re *syntax.Regexp) (n need) {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	if re.Op != syntax.OpConcat || re.Sub[0].Op != syntax.OpBeginText {
		return need{}
	}
	all := []string{""}
	for _, sub := range re.Sub[1:] {
		k := study(sub)
		if k.exact == nil || len(all)*len(k.exact) > maxExact {
			break
		}
		all = product(all, k.exact)
		var longer need
		for _, s := range all {
			longer.texts = append(longer.texts, text{s, true})
		}
		n = better(n, longer)
	}
	return n
}

// known is what one part of an expression tells of its matches. Texts are folded.
type known struct {
	exact []string // each match is one of these; nil: no such list
	some  []string // each match holds one of these; nil: no such list
	folds bool     // unless it holds one of foldsToASCII, which the lists leave out
}

func (k known) best() []string {
	n := better(needOf(k.exact...), needOf(k.some...))
	var all []string
	for _, t := range n.texts {
		all = append(all, t.s)
	}
	return all
}

func study(re *syntax.Regexp) known {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return known{exact: []string{""}}
	case syntax.OpLiteral:
		return studyLiteral(re)
	case syntax.OpCharClass:
		return studyRunes(classRunes(re.Rune))
	case syntax.OpCapture:
		return study(re.Sub[0])
	case syntax.OpPlus:
		k := study(re.Sub[0])
		return known{some: k.best(), folds: k.folds}
	case syntax.OpQuest:
		k := study(re.Sub[0])
		if k.exact == nil {
			return known{}
		}
		return known{exact: append([]string{""}, k.exact...), folds: k.folds}
	case syntax.OpConcat:
		return studyConcat(re.Sub)
	case syntax.OpAlternate:
		return studyAlternate(re.Sub)
	}
	return known{} // any character, *, and what is still to be invented
}

func studyLiteral(re *syntax.Regexp) known {
	k := known{exact: []string{""}}
	for _, r := range re.Rune {
		runes := []rune{r}
		if re.Flags&syntax.FoldCase != 0 {
			for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
				runes = append(runes, o)
			}
		}
		one := studyRunes(runes)
		if one.exact == nil || len(k.exact)*len(one.exact) > maxExact {
			return known{} // U+FFFD stands for any byte that is not UTF-8
		}
		k = known{exact: product(k.exact, one.exact), folds: k.folds || one.folds}
	}
	return k
}

// classRunes lists a class, nil when it is a large one.
func classRunes(pairs []rune) (runes []rune) {
	for i := 0; i < len(pairs); i += 2 {
		if int(pairs[i+1]-pairs[i])+len(runes) >= 2*maxExact {
			return nil
		}
		for r := pairs[i]; r <= pairs[i+1]; r++ {
			runes = append(runes, r)
		}
	}
	return runes
}

func studyRunes(runes []rune) (k known) {
	for _, r := range runes {
		s := string(r)
		switch {
		case r == utf8.RuneError:
			return known{}
		case s == string(foldsToASCII[0]), s == string(foldsToASCII[1]):
			k.folds = true
		case !slices.Contains(k.exact, fold(s)):
			k.exact = append(k.exact, fold(s))
		}
	}
	if len(k.exact) > maxExact || len(k.exact) == 0 {
		return known{}
	}
	return k
}

func studyConcat(subs []*syntax.Regexp) (all known) {
	run, whole := []string{""}, true // the texts of the parts since the last one that is unknown
	var best need
	for _, sub := range subs {
		k := study(sub)
		all.folds = all.folds || k.folds
		if k.exact != nil && len(run)*len(k.exact) <= maxExact {
			if len(k.exact) > 1 {
				best = better(best, needOf(run...)) // longer texts, but more of them, may be worth less
			}
			run = product(run, k.exact)
			continue
		}
		best = better(better(best, needOf(run...)), needOf(k.best()...))
		whole = false
		if run = k.exact; run == nil {
			run = []string{""}
		}
	}
	if whole {
		all.exact = run
	}
	for _, t := range better(best, needOf(run...)).texts {
		all.some = append(all.some, t.s)
	}
	return all
}

func studyAlternate(subs []*syntax.Regexp) (all known) {
	exact, some := true, true
	for _, sub := range subs {
		k := study(sub)
		all.folds = all.folds || k.folds
		exact = exact && k.exact != nil && len(all.exact)+len(k.exact) <= maxExact
		if exact {
			all.exact = append(all.exact, k.exact...)
		}
		texts := k.best()
		some = some && texts != nil && len(all.some)+len(texts) <= maxTexts
		if some {
			all.some = append(all.some, texts...)
		}
	}
	if !exact {
		all.exact = nil
	}
	if !some {
		all.some = nil
	}
	return all
}

func product(a, b []string) []string {
	all := make([]string, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			all = append(all, x+y)
		}
	}
	return all
}
