// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"cmp"
	"strings"
)

// compareNatural orders names so that numbers inside them count as numbers:
// 6.1.9 before 6.1.10, as sort -V does.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		na, ra := leadingDigits(a)
		nb, rb := leadingDigits(b)
		if na != "" && nb != "" {
			na, nb = strings.TrimLeft(na, "0"), strings.TrimLeft(nb, "0")
			if c := cmp.Or(cmp.Compare(len(na), len(nb)), cmp.Compare(na, nb)); c != 0 {
				return c
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// leadingDigits splits s after its leading digits.
func leadingDigits(s string) (digits, rest string) {
	n := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if n < 0 {
		n = len(s)
	}
	return s[:n], s[n:]
}
