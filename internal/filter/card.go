package filter

// findCards takes numbers of payment cards: the right first digits and length for an issuer, and Luhn's sum.
func findCards(b []byte, to []span) []span {
	for i := 0; i < len(b); i++ {
		if class[b[i]]&digit == 0 {
			continue
		}
		if before := at(b, i-1); !isWord(before) && before != '.' {
			if end := cardEnd(b, i); end > 0 {
				to = append(to, span{i, end})
				i = end - 1
				continue
			}
		}
		i = run(b, i, digit)
	}
	return to
}

// cardEnd returns the end of the card number that begins at i, 0 when none does. Its digits stand together, or in groups
// as on cards (4 4 4 4, 4 6 5, 4 6 4, 4 4 4 4 3) with one and the same of blank and - between.
func cardEnd(b []byte, i int) (end int) {
	var number [19]byte
	sep := byte(0)
	for n, group := 0, 0; ; group++ {
		stop := run(b, i, digit)
		if n+stop-i > len(number) {
			return end
		}
		n += copy(number[n:], b[i:stop])
		next := at(b, stop)
		alone := !isWord(next) && (next != '.' || class[at(b, stop+1)]&digit == 0)
		if alone && issued(number[:n]) && luhn(number[:n]) {
			end = stop
		}
		if group == 0 {
			sep = next
		}
		size := stop - i
		if next != sep || sep != ' ' && sep != '-' || group == 0 && size != 4 || size != 4 && size != 6 {
			return end
		}
		if i = stop + 1; class[at(b, i)]&digit == 0 {
			return end
		}
	}
}

// issued reports whether an issuer gives numbers of this length and beginning (ISO/IEC 7812, as the large ones use it).
func issued(d []byte) bool {
	if len(d) < 13 {
		return false
	}
	four := 0
	for _, c := range d[:4] {
		four = 10*four + int(c-'0')
	}
	two := four / 100
	switch n := len(d); {
	case d[0] == '4':
		return n == 13 || n == 16 || n == 19 // Visa
	case two >= 51 && two <= 55, four >= 2221 && four <= 2720:
		return n == 16 // Mastercard
	case two == 34, two == 37:
		return n == 15 // American Express
	case two == 36, two == 38, two == 39, four >= 3000 && four <= 3059:
		return n == 14 // Diners Club
	case four == 6011, two == 65, four >= 6440 && four <= 6499, two == 62, four >= 3528 && four <= 3589:
		return n >= 16 // Discover, UnionPay, JCB
	}
	return false
}

func luhn(d []byte) bool {
	sum := 0
	for i := range d {
		v := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}
