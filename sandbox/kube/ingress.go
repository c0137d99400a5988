package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// ingressController serves HTTP for the Ingresses of one class.
type ingressController struct {
	class     string
	address   string // published in the status of each Ingress
	client    kubernetes.Interface
	ingresses networkinglisters.IngressLister
	services  corelisters.ServiceLister
	slices    discoverylisters.EndpointSliceLister
	changed   chan struct{}
	table     atomic.Pointer[routes]
}

func ingress(args []string) error {
	flags := flag.NewFlagSet("ingress", flag.ContinueOnError)
	class := flags.String("class", "", "the ingress class that is served")
	address := flags.String("publish-address", "", "IP address written into the status of each Ingress")
	listen := flags.String("listen", ":8080", "where HTTP is served")
	health := flags.String("health", ":8081", "where /healthz and /readyz are served")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	c := &ingressController{class: *class, address: *address, client: client, changed: make(chan struct{}, 1)}
	go c.serveHealth(*health)
	if err := c.watch(ctx); err != nil {
		return err
	}
	go c.follow(ctx)
	return c.serve(ctx, *listen)
}

func (c *ingressController) serveHealth(listen string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "ok") })
	mux.HandleFunc("/readyz", func(answer http.ResponseWriter, _ *http.Request) {
		if c.table.Load() == nil {
			http.Error(answer, "the routes are not known yet", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(answer, "ok")
	})
	server := http.Server{Addr: listen, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// watch returns when everything that exists is known.
func (c *ingressController) watch(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(c.client, 0)
	c.ingresses = factory.Networking().V1().Ingresses().Lister()
	c.services = factory.Core().V1().Services().Lister()
	c.slices = factory.Discovery().V1().EndpointSlices().Lister()
	wake := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.wake() },
		UpdateFunc: func(any, any) { c.wake() },
		DeleteFunc: func(any) { c.wake() },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Networking().V1().Ingresses().Informer(),
		factory.Core().V1().Services().Informer(),
		factory.Discovery().V1().EndpointSlices().Informer(),
	} {
		if _, err := informer.AddEventHandler(wake); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("could not list %s", kind)
		}
	}
	c.wake()
	return nil
}

func (c *ingressController) wake() {
	select {
	case c.changed <- struct{}{}:
	default: // a wake-up is pending already
	}
}

func (c *ingressController) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.changed:
		}
		found, err := c.ingresses.List(labels.Everything())
		if err != nil {
			log.Printf("list ingresses: %v", err)
			continue
		}
		ours := make([]*networking.Ingress, 0, len(found))
		for _, object := range found {
			if object.Spec.IngressClassName != nil && *object.Spec.IngressClassName == c.class {
				ours = append(ours, object)
			}
		}
		c.table.Store(c.build(ours))
		for _, object := range ours {
			c.publish(ctx, object)
		}
	}
}

func (c *ingressController) publish(ctx context.Context, object *networking.Ingress) {
	known := object.Status.LoadBalancer.Ingress
	if object.DeletionTimestamp != nil || (len(known) == 1 && known[0].IP == c.address) {
		return
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	patch := fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, c.address)
	_, err := c.client.NetworkingV1().Ingresses(object.Namespace).Patch(
		ctx, object.Name, types.MergePatchType, []byte(patch), meta.PatchOptions{}, "status")
	if err != nil {
		log.Printf("status of %s/%s: %v", object.Namespace, object.Name, err)
	}
}

func (c *ingressController) serve(ctx context.Context, listen string) error {
	server := http.Server{Addr: listen, Handler: newProxy(&c.table), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		grace, stop := context.WithTimeout(context.Background(), 10*time.Second)
		defer stop()
		_ = server.Shutdown(grace)
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
