package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

const attempts = 3

type routeKey struct{}

// newProxy answers each request from the routes known at that moment.
func newProxy(table *atomic.Pointer[routes]) http.Handler {
	forward := &httputil.ReverseProxy{
		Rewrite:       rewrite,
		Transport:     &spread{next: newTransport()},
		FlushInterval: -1, // streams are passed on as they come
		ErrorHandler:  unreachable,
	}
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		known := table.Load()
		if known == nil {
			http.Error(answer, "ingress: the routes are not known yet", http.StatusServiceUnavailable)
			return
		}
		found, exists := known.find(request.Host, request.URL.Path)
		switch {
		case !exists:
			http.Error(answer, fmt.Sprintf("ingress: no route for %s", request.Host), http.StatusNotFound)
		case len(found.endpoints) == 0:
			http.Error(answer, fmt.Sprintf("ingress: %s has no ready endpoints", found.backend), http.StatusServiceUnavailable)
		default:
			forward.ServeHTTP(answer, request.WithContext(context.WithValue(request.Context(), routeKey{}, found)))
		}
	})
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true, // bodies pass unchanged
	}
}

func rewrite(proxied *httputil.ProxyRequest) {
	proxied.Out.Host = proxied.In.Host
	proxied.SetXForwarded()
	// The host part is chosen per attempt.
	proxied.Out.URL.Scheme = "http"
	proxied.Out.URL.Host = "endpoint.invalid"
}

func unreachable(answer http.ResponseWriter, request *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		return // the client is gone
	}
	code := http.StatusBadGateway
	var failed net.Error
	if errors.As(err, &failed) && failed.Timeout() {
		code = http.StatusGatewayTimeout
	}
	found, _ := request.Context().Value(routeKey{}).(route)
	log.Printf("%s %s%s: %s: %v", request.Method, request.Host, request.URL.Path, found.backend, err)
	http.Error(answer, fmt.Sprintf("ingress: %s can't be reached", found.backend), code)
}

// spread sends requests to the endpoints in turn, and tries others where nothing can have arrived.
type spread struct {
	next http.RoundTripper
	turn atomic.Uint64
}

func (s *spread) RoundTrip(request *http.Request) (*http.Response, error) {
	found, _ := request.Context().Value(routeKey{}).(route)
	turn := s.turn.Add(1)
	for attempt := uint64(0); ; attempt++ {
		endpoint := found.endpoints[(turn+attempt)%uint64(len(found.endpoints))]
		answer, err := s.next.RoundTrip(to(request, endpoint))
		if err == nil || attempt+1 >= attempts || !repeatable(request, err) {
			return answer, err
		}
	}
}

func to(request *http.Request, endpoint string) *http.Request {
	copied := *request
	target := url.URL(*request.URL)
	target.Host = endpoint
	copied.URL = &target
	return &copied
}

func repeatable(request *http.Request, err error) bool {
	if request.Body != nil && request.Body != http.NoBody {
		return false // it may have been read
	}
	var failed *net.OpError
	if errors.As(err, &failed) && failed.Op == "dial" {
		return true
	}
	idempotent := request.Method == http.MethodGet || request.Method == http.MethodHead || request.Method == http.MethodOptions
	return idempotent && request.Context().Err() == nil
}
