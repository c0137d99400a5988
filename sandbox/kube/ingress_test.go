package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"
)

func endpoint(address string, ready, serving, terminating bool) discovery.Endpoint {
	return discovery.Endpoint{
		Addresses: []string{address},
		Conditions: discovery.EndpointConditions{
			Ready: &ready, Serving: &serving, Terminating: &terminating,
		},
	}
}

func slice(port int32, endpoints ...discovery.Endpoint) *discovery.EndpointSlice {
	name := "http"
	return &discovery.EndpointSlice{
		ObjectMeta: meta.ObjectMeta{
			Name: "web-1", Namespace: "n", Labels: map[string]string{discovery.LabelServiceName: "web"},
		},
		Ports:     []discovery.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: endpoints,
	}
}

func TestOnlyReadyEndpointsWhileThereAreSome(t *testing.T) {
	found := addresses([]*discovery.EndpointSlice{slice(8000,
		endpoint("10.0.0.1", true, true, false),
		endpoint("10.0.0.2", false, true, true),
		endpoint("10.0.0.3", false, false, false),
	)}, "http")
	if fmt.Sprint(found) != "[10.0.0.1:8000]" {
		t.Fatal(found)
	}
}

func TestEndpointsThatEndWhileThereIsNoOther(t *testing.T) {
	found := addresses([]*discovery.EndpointSlice{slice(8000,
		endpoint("10.0.0.2", false, true, true),
		endpoint("10.0.0.3", false, false, true),
	)}, "http")
	if fmt.Sprint(found) != "[10.0.0.2:8000]" {
		t.Fatal(found)
	}
}

func TestPathsGoToTheMostSpecificRule(t *testing.T) {
	table := &routes{hosts: map[string][]route{
		"a.test":   {{path: "/exact", exact: true, backend: "exact"}, {path: "/api/", backend: "api"}, {path: "/", backend: "root"}},
		"*.b.test": {{path: "/", backend: "wildcard"}},
		"":         {{path: "/only", backend: "any"}},
	}}
	for question, backend := range map[string]string{
		"a.test /exact":      "exact",
		"a.test /exact/more": "root",
		"A.test:80 /api":     "api",
		"a.test /api/x":      "api",
		"a.test /apix":       "root",
		"x.b.test /":         "wildcard",
		"x.y.b.test /":       "",
		"b.test /":           "",
		"other.test /only":   "any",
	} {
		host, path, _ := strings.Cut(question, " ")
		if found, _ := table.find(host, path); found.backend != backend {
			t.Errorf("%s: %q, not %q", question, found.backend, backend)
		}
	}
}

func TestAnIngressIsRoutedByTheNameOfItsServicePort(t *testing.T) {
	object := &networking.Ingress{ObjectMeta: meta.ObjectMeta{Name: "web", Namespace: "n"}}
	object.Spec.Rules = []networking.IngressRule{{Host: "Web.test"}}
	object.Spec.Rules[0].HTTP = &networking.HTTPIngressRuleValue{Paths: []networking.HTTPIngressPath{{
		Path: "/",
		Backend: networking.IngressBackend{Service: &networking.IngressServiceBackend{
			Name: "web", Port: networking.ServiceBackendPort{Name: "http"},
		}},
	}}}
	service := &core.Service{ObjectMeta: meta.ObjectMeta{Name: "web", Namespace: "n"}}
	service.Spec.Ports = []core.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}
	c := &ingressController{
		client:  fake.NewClientset(service, slice(8000, endpoint("10.0.0.1", true, true, false))),
		changed: make(chan struct{}, 1),
	}
	if err := c.watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	found, known := c.build([]*networking.Ingress{object}).find("web.test", "/x")
	if !known || fmt.Sprint(found.endpoints) != "[10.0.0.1:8000]" {
		t.Fatal(found)
	}
}

func proxyTo(t *testing.T, endpoints ...string) *httptest.Server {
	var table atomic.Pointer[routes]
	table.Store(&routes{hosts: map[string][]route{"a.test": {{path: "/", backend: "n/web", endpoints: endpoints}}}})
	server := httptest.NewServer(newProxy(&table))
	t.Cleanup(server.Close)
	return server
}

func ask(t *testing.T, method, url string, body io.Reader) (int, string) {
	request, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "a.test"
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(content))
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestARefusedConnectionIsTriedElsewhere(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprint(answer, "here") }))
	defer server.Close()
	proxy := proxyTo(t, nobody(t), strings.TrimPrefix(server.URL, "http://"))
	for range 4 {
		if code, body := ask(t, http.MethodGet, proxy.URL, nil); code != http.StatusOK || body != "here" {
			t.Fatal(code, body)
		}
	}
}

func TestWhenNobodyAnswersTheMessageNamesTheService(t *testing.T) {
	proxy := proxyTo(t, nobody(t))
	if code, body := ask(t, http.MethodGet, proxy.URL, nil); code != http.StatusBadGateway || body != "ingress: n/web can't be reached" {
		t.Fatal(code, body)
	}
}

func TestARequestWithABodyIsSentOnce(t *testing.T) {
	var seen atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		seen.Add(1)
		panic(http.ErrAbortHandler) // cut the connection
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	proxy := proxyTo(t, address, address)
	if code, _ := ask(t, http.MethodPost, proxy.URL, strings.NewReader("x")); code != http.StatusBadGateway || seen.Load() != 1 {
		t.Fatal(code, seen.Load())
	}
}
