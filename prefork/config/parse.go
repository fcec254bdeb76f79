// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// Error is one thing that is wrong. [Parse] and [Config.Check] join all they
// find; errors.As finds the first.
type Error struct {
	// Key is the full key, as the file has it.
	Key string
	// Value is the value as it was given, or empty.
	Value string
	// Problem says what is wrong, and what would be right.
	Problem string
}

// Error returns "KEY = VALUE: PROBLEM".
func (e *Error) Error() string {
	if e.Value == "" {
		return e.Key + ": " + e.Problem
	}
	return e.Key + " = " + e.Value + ": " + e.Problem
}

// Parse reads a file. The error joins an [Error] for each thing that is wrong,
// or is that of the TOML parser with line and column.
func Parse(data []byte) (Config, error) {
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		if de := (*toml.DecodeError)(nil); errors.As(err, &de) {
			row, col := de.Position()
			return Config{}, fmt.Errorf("line %d, column %d: %w", row, col, err)
		}
		return Config{}, err
	}
	p := parser{keys: keys(), seen: map[string]bool{}}
	c := p.parse(doc)
	if len(p.errs) > 0 {
		return Config{}, errors.Join(p.errs...)
	}
	return c, c.Check()
}

type parser struct {
	keys []key
	errs []error
	seen map[string]bool // full plain keys, to refuse two spellings of one
}

// fail notes an error and goes on: a file's errors are reported together.
func (p *parser) fail(key, value, problem string) {
	p.errs = append(p.errs, &Error{Key: key, Value: value, Problem: problem})
}

// parse takes the defaults first, because services are copies of them, then
// the tables, then the reference's "key:service" spelling.
func (p *parser) parse(doc map[string]any) Config {
	defaults := Default()
	c := Config{Defaults: &defaults, Services: map[string]*Settings{}}
	names := slices.Sorted(maps.Keys(doc))
	for _, name := range names {
		if name != "service" && !strings.Contains(name, ":") {
			p.assign(&c, "", name, doc[name])
		}
	}
	p.tables(&c, doc["service"])
	for _, name := range names {
		of, service, ok := strings.Cut(name, ":")
		switch service = strings.TrimSpace(service); {
		case !ok:
		case service == "":
			p.fail(name, "", "the name of a service must follow the colon")
		default:
			p.assign(&c, service, of, doc[name])
		}
	}
	return c
}

// tables takes the table of each service, in the order of their names, so
// that errors come in the same order every time.
func (p *parser) tables(c *Config, v any) {
	if v == nil {
		return
	}
	services, ok := v.(map[string]any)
	if !ok {
		p.fail("service", "", "want tables, one for each service: [service.NAME]")
		return
	}
	for _, service := range slices.Sorted(maps.Keys(services)) {
		table, ok := services[service].(map[string]any)
		if !ok {
			p.fail("service."+service, "", "want a table: [service.NAME]")
			continue
		}
		c.service(strings.ToLower(service)) // also if it is empty
		for _, name := range slices.Sorted(maps.Keys(table)) {
			p.assign(c, service, name, table[name])
		}
	}
}

// service returns the settings of one service, made from the defaults if it
// has none yet.
func (c *Config) service(name string) *Settings {
	if c.Services[name] == nil {
		s := c.defaults()
		c.Services[name] = &s
	}
	return c.Services[name]
}

// assign puts one value in its place. service is empty for the defaults.
func (p *parser) assign(c *Config, service, name string, v any) {
	full, target := name, c.Defaults
	if service != "" {
		full, target = "service."+service+"."+name, c.service(strings.ToLower(service))
	}
	k, known := find(p.keys, name)
	switch {
	case !known:
		p.fail(full, "", "no such key"+p.hint(name))
		return
	case k.scope == globalOnly && service != "":
		p.fail(full, "", k.name+" is for all services together: put it before the tables")
		return
	case k.scope == serviceOnly && service == "":
		p.fail(full, "", k.name+" belongs to one service: put it below [service.NAME]")
		return
	}
	once := strings.ToLower(service) + ":" + k.name
	if p.seen[once] {
		p.fail(full, "", "given twice (as "+k.name+" in another spelling)")
		return
	}
	p.seen[once] = true
	field := k.field(c, target)
	err := set(field, v)
	if err == nil {
		err = k.check(field)
	}
	if err != nil {
		p.fail(full, fmt.Sprintf("%v", v), err.Error())
	}
}

// hint names the nearest key there is.
func (p *parser) hint(name string) string {
	names := make([]string, len(p.keys))
	for i, k := range p.keys {
		names[i] = k.name
	}
	if near := nearest(names, name); near != "" {
		return ", did you mean " + near + "?"
	}
	return "; known are " + strings.Join(names, ", ")
}
