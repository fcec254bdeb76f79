// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// set puts a value of the file where field points to.
func set(field, v any) error {
	switch f := field.(type) {
	case *int:
		return setWhole(v, func(n int64) { *f = int(n) })
	case *time.Duration:
		return setDuration(f, v)
	case *uint64:
		return setSize(f, v)
	case *float64:
		return setFraction(f, v)
	case *bool:
		return setAs(f, v, "true or false")
	case *string:
		return setAs(f, v, "a string in quotes")
	case *[]string:
		return setList(f, v, func(s *string, v any) error { return setAs(s, v, "a list of strings") })
	case *[]int:
		return setList(f, v, func(i *int, v any) error { return setWhole(v, func(n int64) { *i = int(n) }) })
	case limit:
		return setWhole(v, func(n int64) {
			if *f.of == nil {
				*f.of = map[string]uint64{}
			}
			(*f.of)[f.name] = uint64(n)
		})
	}
	panic(fmt.Sprintf("config: no such kind of field: %T", field))
}

// setAs takes a value that has the right type already.
func setAs[T any](to *T, v any, want string) error {
	t, ok := v.(T)
	if !ok {
		return errors.New("want " + want)
	}
	*to = t
	return nil
}

// setWhole takes a whole number. TOML's are 64 bits wide; limits are checked
// afterwards, against the table.
func setWhole(v any, put func(int64)) error {
	n, ok := v.(int64)
	if !ok {
		return errors.New("want a whole number")
	}
	put(n)
	return nil
}

// setFraction takes a number with or without a point.
func setFraction(to *float64, v any) error {
	switch n := v.(type) {
	case float64:
		*to = n
	case int64:
		*to = float64(n)
	default:
		return errors.New("want a number")
	}
	return nil
}

// setDuration takes "1m30s", or a whole number of seconds.
func setDuration(to *time.Duration, v any) error {
	switch d := v.(type) {
	case int64:
		if d > math.MaxInt64/int64(time.Second) || d < math.MinInt64/int64(time.Second) {
			return errors.New("out of range")
		}
		*to = time.Duration(d) * time.Second
		return nil
	case string:
		parsed, err := time.ParseDuration(d)
		if err == nil {
			*to = parsed
			return nil
		}
	}
	return errors.New(`want a duration like "1m30s", or a whole number of seconds`)
}

// setSize takes "64MiB", or a whole number of bytes.
func setSize(to *uint64, v any) error {
	const want = `want a size like "64MiB", or a whole number of bytes`
	switch n := v.(type) {
	case int64:
		if n < 0 {
			return errors.New(want)
		}
		*to = uint64(n)
		return nil
	case string:
		digits := strings.TrimRight(n, "KMGTiB ")
		size, err := strconv.ParseUint(digits, 10, 64)
		shift, ok := map[string]uint{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[strings.TrimSpace(n[len(digits):])]
		if err == nil && ok && size <= math.MaxUint64>>shift {
			*to = size << shift
			return nil
		}
	}
	return errors.New(want)
}

// setList takes a list, of which one sets a single element.
func setList[T any](to *[]T, v any, one func(*T, any) error) error {
	items, ok := v.([]any)
	if !ok {
		return errors.New("want a list in brackets")
	}
	list := make([]T, len(items))
	for i, item := range items {
		if err := one(&list[i], item); err != nil {
			return err
		}
	}
	*to = list
	return nil
}

// check holds a value against the limits of its key.
func (k key) check(field any) error {
	inside := func(v float64) error {
		if v < k.min || v > k.max || math.IsNaN(v) {
			return fmt.Errorf("must be %s to %s", k.show(k.min), k.show(k.max))
		}
		return nil
	}
	switch f := field.(type) {
	case *int:
		return inside(float64(*f))
	case *time.Duration:
		return inside(float64(*f))
	case *uint64:
		return inside(float64(*f))
	case *float64:
		return inside(*f)
	case *[]int:
		for _, n := range *f {
			if err := inside(float64(n)); err != nil {
				return err
			}
		}
	case limit:
		return inside(float64((*f.of)[f.name]))
	}
	return nil
}

// show prints a limit in the unit of the key.
func (k key) show(v float64) string {
	if _, ok := k.field(&Config{}, &Settings{}).(*time.Duration); ok {
		return time.Duration(v).String()
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// text prints the value that field points to, for an error.
func text(field any) string {
	switch f := field.(type) {
	case *int:
		return fmt.Sprint(*f)
	case *time.Duration:
		return f.String()
	case *uint64:
		return fmt.Sprint(*f)
	case *float64:
		return fmt.Sprint(*f)
	case *[]int:
		return fmt.Sprint(*f)
	case limit:
		return fmt.Sprint((*f.of)[f.name])
	}
	return ""
}
