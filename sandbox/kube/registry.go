package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// manifest is what the library keeps in memory only; one file each, so that a restart loses nothing.
type manifest struct {
	Path, ContentType string
	Body              []byte
	Stored            time.Time
}

// durable replays the manifests of an earlier run into the library's handler, and records new ones.
type durable struct {
	next   http.Handler
	folder string
}

func serveRegistry(args []string) error {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:5000", "address and port")
	folder := flags.String("folder", "", "where blobs and manifests are kept")
	credentials := flags.String("credentials", "", "file with user:password")
	if err := flags.Parse(args); err != nil {
		return err
	}
	secret, err := os.ReadFile(*credentials)
	if err != nil {
		return err
	}
	store, err := openRegistry(*folder)
	if err != nil {
		return err
	}
	server := http.Server{
		Addr:              *listen,
		Handler:           authenticated(strings.TrimSpace(string(secret)), store),
		ReadHeaderTimeout: 10 * time.Second,
	}
	return server.ListenAndServe()
}

func openRegistry(folder string) (http.Handler, error) {
	for _, part := range []string{"blobs", "manifests"} {
		if err := os.MkdirAll(filepath.Join(folder, part), 0o700); err != nil {
			return nil, err
		}
	}
	blobs := registry.NewDiskBlobHandler(filepath.Join(folder, "blobs"))
	quiet := registry.Logger(log.New(io.Discard, "", 0))
	store := &durable{
		next:   registry.New(quiet, registry.WithBlobHandler(blobs), registry.WithReferrersSupport(true)),
		folder: filepath.Join(folder, "manifests"),
	}
	return store, store.replay()
}

func authenticated(secret string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		user, password, _ := request.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(user+":"+password), []byte(secret)) != 1 {
			answer.Header().Set("WWW-Authenticate", `Basic realm="sandbox"`)
			http.Error(answer, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(answer, request)
	})
}

func (d *durable) replay() error {
	files, err := filepath.Glob(filepath.Join(d.folder, "*.json"))
	if err != nil {
		return err
	}
	found := make([]manifest, 0, len(files))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var entry manifest
		if err := json.Unmarshal(content, &entry); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		found = append(found, entry)
	}
	// An index is accepted only after the images it lists.
	slices.SortFunc(found, func(a, b manifest) int { return a.Stored.Compare(b.Stored) })
	for _, entry := range found {
		request := httptest.NewRequest(http.MethodPut, entry.Path, bytes.NewReader(entry.Body))
		request.Header.Set("Content-Type", entry.ContentType)
		d.next.ServeHTTP(httptest.NewRecorder(), request)
	}
	return nil
}

func (d *durable) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	if !strings.Contains(request.URL.Path, "/manifests/") || request.Method == http.MethodGet || request.Method == http.MethodHead {
		d.next.ServeHTTP(answer, request)
		return
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	outcome := httptest.NewRecorder()
	d.next.ServeHTTP(outcome, request)
	if err := d.record(request, body, outcome.Code); err != nil {
		http.Error(answer, err.Error(), http.StatusInternalServerError)
		return
	}
	for key, values := range outcome.Header() {
		answer.Header()[key] = values
	}
	answer.WriteHeader(outcome.Code)
	_, _ = answer.Write(outcome.Body.Bytes())
}

func (d *durable) record(request *http.Request, body []byte, code int) error {
	file := filepath.Join(d.folder, fmt.Sprintf("%x.json", sha256.Sum256([]byte(request.URL.Path))))
	switch {
	case request.Method == http.MethodPut && code == http.StatusCreated:
		entry := manifest{request.URL.Path, request.Header.Get("Content-Type"), body, time.Now()}
		content, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		return writeWhole(file, content)
	case request.Method == http.MethodDelete && code == http.StatusAccepted:
		return os.Remove(file)
	}
	return nil
}

func writeWhole(file string, content []byte) error {
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
