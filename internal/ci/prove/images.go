// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/seed-cb702d51/tfork-go/internal/ci/debian"
)

// series is a line of kernels, of which the newest in Debian is taken.
type series struct {
	name  string
	image *regexp.Regexp
	// suites are tried in this order.
	suites []string
	// short tells whether the short form has it.
	short bool
}

// allSeries are the kernels of the matrix: each differs from the one before in
// something that this module uses (docs/kernels.md).
var allSeries = []series{
	{"5.10", image(`5\.10`), []string{"bullseye-security", "bullseye"}, false},
	{"6.1", image(`6\.1`), []string{"bookworm-security", "bookworm"}, false},
	{"6.12", image(`6\.12`), []string{"bookworm-security", "bookworm-backports", "trixie-security", "trixie"}, true},
	{"6.16", image(`6\.16`), []string{"trixie-backports"}, false},
	{"6.18", image(`6\.18`), []string{"trixie-backports"}, false},
	{"newest", image(`([7-9]|\d\d)\.\d+`), []string{"trixie-backports", "forky", "sid"}, true},
}

// image matches the packages of kernel images, without the suffix of those that
// hold debugging symbols or unsigned images.
func image(version string) *regexp.Regexp {
	return regexp.MustCompile(`^linux-image-` + version + `\.\d+[^ ]*-cloud-amd64$`)
}

// fetched is a kernel image, or why there is none.
type fetched struct {
	path string
	err  error
}

// fetchKernels brings the images, one after the other: apt's lists are shared.
func (j *job) fetchKernels(ctx context.Context, cache *debian.Cache) map[string]fetched {
	images := map[string]fetched{}
	for _, s := range allSeries {
		if !j.place.MatchString(s.name) || j.short && !s.short {
			continue
		}
		path, err := fetchKernel(ctx, cache, s)
		images[s.name] = fetched{path, err}
		if err == nil {
			j.say("kernel %s: %s", s.name, strings.TrimPrefix(path, cache.Dir()+"/unpacked/"))
		}
	}
	return images
}

// fetchKernel brings the newest image of a series.
func fetchKernel(ctx context.Context, cache *debian.Cache, s series) (string, error) {
	pkg, err := cache.Newest(ctx, s.suites, s.image)
	if err != nil {
		return "", err
	}
	path, err := imageIn(ctx, pkg)
	if path == "" && err == nil {
		// From 7.x on, linux-image only depends on the package with the image.
		pkg.Name = strings.Replace(pkg.Name, "linux-image-", "linux-binary-", 1)
		path, err = imageIn(ctx, pkg)
	}
	if path == "" && err == nil {
		err = fmt.Errorf("package %s holds no kernel image", pkg.Name)
	}
	return path, err
}

// imageIn unpacks the image of a package, and returns "" if there is none.
func imageIn(ctx context.Context, pkg debian.Package) (string, error) {
	dir, err := pkg.Unpack(ctx, "./boot/vmlinuz-*", "./usr/lib/modules/*/vmlinuz")
	if err != nil {
		return "", err
	}
	for _, pattern := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) > 0 {
			return found[0], nil
		}
	}
	return "", nil
}
