package main

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// routes is an immutable picture of the cluster: hosts, each with its paths, most specific first.
type routes struct {
	hosts map[string][]route
}

type route struct {
	path      string
	exact     bool
	backend   string   // namespace/service, for messages
	endpoints []string // address:port
}

func (c *ingressController) build(ingresses []*networking.Ingress) *routes {
	found := &routes{hosts: map[string][]route{}}
	for _, object := range ingresses {
		for _, rule := range object.Spec.Rules {
			if rule.HTTP == nil {
				continue
			}
			for _, path := range rule.HTTP.Paths {
				host := strings.ToLower(rule.Host)
				found.hosts[host] = append(found.hosts[host], c.route(object.Namespace, path))
			}
		}
		if fallback := object.Spec.DefaultBackend; fallback != nil {
			path := networking.HTTPIngressPath{Path: "/", Backend: *fallback}
			found.hosts[""] = append(found.hosts[""], c.route(object.Namespace, path))
		}
	}
	for _, paths := range found.hosts {
		slices.SortStableFunc(paths, moreSpecific)
	}
	return found
}

func moreSpecific(a, b route) int {
	if a.exact != b.exact {
		if a.exact {
			return -1
		}
		return 1
	}
	return cmp.Compare(len(b.path), len(a.path))
}

func (c *ingressController) route(namespace string, path networking.HTTPIngressPath) route {
	made := route{
		path:  path.Path,
		exact: path.PathType != nil && *path.PathType == networking.PathTypeExact,
	}
	if backend := path.Backend.Service; backend != nil {
		made.backend = namespace + "/" + backend.Name
		made.endpoints = c.endpoints(namespace, backend)
	}
	return made
}

func (c *ingressController) endpoints(namespace string, backend *networking.IngressServiceBackend) []string {
	service, err := c.services.Services(namespace).Get(backend.Name)
	if err != nil {
		return nil // not there (yet): the route answers 503
	}
	port, known := servicePort(service, backend.Port)
	if !known {
		return nil
	}
	selector := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: backend.Name})
	found, err := c.slices.EndpointSlices(namespace).List(selector)
	if err != nil {
		return nil
	}
	return addresses(found, port)
}

// servicePort answers with the port's name: endpoint slices carry the same name with the pod's number.
func servicePort(service *core.Service, wanted networking.ServiceBackendPort) (string, bool) {
	for _, port := range service.Spec.Ports {
		if wanted.Name == port.Name && wanted.Number == 0 || wanted.Number == port.Port {
			return port.Name, true
		}
	}
	return "", false
}

// addresses prefers ready endpoints; while there is none, those that still serve while they end.
func addresses(found []*discovery.EndpointSlice, port string) []string {
	var ready, ending []string
	for _, slice := range found {
		number := slicePort(slice, port)
		if number == "" {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			switch conditions := endpoint.Conditions; {
			case conditions.Ready == nil || *conditions.Ready:
				ready = appendAddresses(ready, endpoint, number)
			case isTrue(conditions.Serving) && isTrue(conditions.Terminating):
				ending = appendAddresses(ending, endpoint, number)
			}
		}
	}
	if len(ready) == 0 {
		return ending
	}
	return ready
}

func slicePort(slice *discovery.EndpointSlice, name string) string {
	for _, port := range slice.Ports {
		if port.Port != nil && (port.Name == nil && name == "" || port.Name != nil && *port.Name == name) {
			return strconv.Itoa(int(*port.Port))
		}
	}
	return ""
}

func appendAddresses(all []string, endpoint discovery.Endpoint, port string) []string {
	for _, address := range endpoint.Addresses {
		all = append(all, net.JoinHostPort(address, port))
	}
	return all
}

func isTrue(value *bool) bool { return value != nil && *value }

// find looks for the host itself, then for its wildcard, then for rules without a host.
func (r *routes) find(host, path string) (route, bool) {
	host = strings.ToLower(host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, domain, _ := strings.Cut(host, ".")
	for _, name := range []string{host, "*." + domain, ""} {
		for _, candidate := range r.hosts[name] {
			if candidate.matches(path) {
				return candidate, true
			}
		}
	}
	return route{}, false
}

func (r route) matches(path string) bool {
	if r.exact {
		return path == r.path
	}
	prefix := strings.TrimSuffix(r.path, "/")
	return prefix == "" || path == prefix || strings.HasPrefix(path, prefix+"/")
}
