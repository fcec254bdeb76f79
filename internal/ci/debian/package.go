// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Package is one package of a suite.
type Package struct {
	cache *Cache
	Suite string
	Name  string
}

// Unpack returns the folder that holds the package's files, fetching it first
// if it is not there yet. Only the members that match one of the tar wildcards
// are kept; none means all. The error is [ErrUnavailable] if it cannot be
// fetched.
func (p Package) Unpack(ctx context.Context, wildcards ...string) (string, error) {
	dir := filepath.Join(p.cache.dir, "unpacked", p.Suite, p.Name)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	deb, err := p.download(ctx)
	if err != nil {
		return "", err
	}
	defer os.Remove(deb)
	if err := extract(ctx, deb, tmp, wildcards); err != nil {
		return "", err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return "", err
	}
	// Another run may have been faster: its folder is as good as ours.
	if err := os.Rename(tmp, dir); err != nil && !isDir(dir) {
		return "", err
	}
	return dir, nil
}

// download returns the path of the package file. Its name holds a version that
// only apt knows, so each download has a folder of its own.
func (p Package) download(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	pattern := filepath.Join(p.cache.state(p.Suite), "archives", p.Name+"_*.deb")
	if _, err := p.cache.apt(ctx, p.Suite, "apt-get", "download", p.Name); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("apt-get download %s left no file", p.Name)
	}
	return found[len(found)-1], nil
}

// extract unpacks a package file. dpkg-deb writes the tar file, tar chooses.
func extract(ctx context.Context, deb, dir string, wildcards []string) error {
	args := []string{"-x", "--no-same-owner", "-C", dir}
	if len(wildcards) > 0 {
		args = append(append(args, "--wildcards"), wildcards...)
	}
	pack, unpack := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb), exec.CommandContext(ctx, "tar", args...)
	pipe, err := pack.StdoutPipe()
	if err != nil {
		return err
	}
	unpack.Stdin = pipe
	if err := pack.Start(); err != nil {
		return err
	}
	out, err := unpack.CombinedOutput()
	if packErr := pack.Wait(); err == nil && packErr != nil {
		return fmt.Errorf("dpkg-deb %s: %w", filepath.Base(deb), packErr)
	}
	// tar complains about wildcards without a match; the caller looks for the
	// file it wants and says so if it is not there.
	if err != nil && len(wildcards) == 0 {
		return fmt.Errorf("unpack %s: %w: %s", filepath.Base(deb), err, lastLines(string(out), 2))
	}
	return nil
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
