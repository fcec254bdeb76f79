// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package tfork

// settle ends what the package keeps on purpose.
func settle() { CloseIdle() }
