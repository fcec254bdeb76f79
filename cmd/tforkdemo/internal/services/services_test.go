// Copyright The tfork-go Authors.
// SPDX-License-Identifier: Apache-2.0

package services

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHandler_SaysWhatIsWrong asks for what must not be done.
func TestHandler_SaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		target  string
		crashes bool
		code    int
		says    string
	}{
		{"/", false, http.StatusOK, `{"service":"http","instance":3,"pid":4711,"strategy":"waiter"}`},
		{"/nothing", true, http.StatusNotFound, "not found"},
		{"/sleep?ms=0", false, http.StatusOK, `"slept_ms":0`},
		{"/sleep", false, http.StatusBadRequest, "ms is missing: give a whole number from 0 to 600000"},
		{"/sleep?ms=", false, http.StatusBadRequest, `ms is ""`},
		{"/sleep?ms=1&ms=2", false, http.StatusBadRequest, "ms is given 2 times"},
		{"/sleep?ms=-1", false, http.StatusBadRequest, `ms is "-1"`},
		{"/sleep?ms=600001", false, http.StatusBadRequest, `ms is "600001"`},
		{"/exit?code=256", true, http.StatusBadRequest, `code is "256"`},
		{"/exit?code=x", true, http.StatusBadRequest, `code is "x"`},
		{"/signal?n=0", true, http.StatusBadRequest, "from 1 to 64"},
		{"/signal?n=KILL", true, http.StatusBadRequest, `n is "KILL"`},
		{"/alloc?mib=0", true, http.StatusBadRequest, `mib is "0"`},
		{"/alloc?mib=1", true, http.StatusOK, `"kept_mib":1`},
		{"/hang", true, http.StatusOK, `"hung":true`},
		{"/exit?code=1", false, http.StatusForbidden, "--crash-endpoints"},
		{"/signal?n=9", false, http.StatusForbidden, "--crash-endpoints"},
		{"/hang", false, http.StatusForbidden, "--crash-endpoints"},
		{"/alloc?mib=1", false, http.StatusForbidden, "--crash-endpoints"},
		{"/leave", false, http.StatusForbidden, "--crash-endpoints"},
	} {
		me := identity{Service: HTTP, Instance: 3, Pid: 4711, Strategy: "waiter"}
		w := httptest.NewRecorder()
		new(httpService).handler(me, c.crashes).ServeHTTP(w, httptest.NewRequest("GET", c.target, nil))
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.target, w.Code, w.Body, c.code, c.says)
		}
	}
}
