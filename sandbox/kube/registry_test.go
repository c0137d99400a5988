package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const manifestPath = "/v2/app/manifests/1"

func put(t *testing.T, store http.Handler, body string) {
	request := httptest.NewRequest(http.MethodPut, manifestPath, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	answer := httptest.NewRecorder()
	store.ServeHTTP(answer, request)
	if answer.Code != http.StatusCreated {
		t.Fatal(answer.Code, answer.Body)
	}
}

func get(store http.Handler) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	store.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, manifestPath, nil))
	return answer
}

func TestManifestsOutliveTheProcess(t *testing.T) {
	folder := t.TempDir()
	first, err := openRegistry(folder)
	if err != nil {
		t.Fatal(err)
	}
	put(t, first, `{"old":true}`)
	put(t, first, `{"new":true}`)
	again, err := openRegistry(folder)
	if err != nil {
		t.Fatal(err)
	}
	if answer := get(again); answer.Body.String() != `{"new":true}` {
		t.Fatal(answer.Code, answer.Body)
	}
}

func TestWithoutTheRightPasswordThereIsNothing(t *testing.T) {
	store, err := openRegistry(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	guarded := authenticated("user:right", store)
	for password, code := range map[string]int{"right": http.StatusOK, "wrong": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		request := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		if password != "" {
			request.SetBasicAuth("user", password)
		}
		answer := httptest.NewRecorder()
		guarded.ServeHTTP(answer, request)
		if answer.Code != code {
			t.Error(password, answer.Code)
		}
	}
}
