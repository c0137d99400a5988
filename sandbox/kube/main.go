// Command kube is every program of the sandbox in one file: the first argument names the program.
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
)

// Each program reads its own arguments from os.Args[1:] and answers with its exit code.
var programs = map[string]func() int{
	"kube-apiserver":          command(apiserver.NewAPIServerCommand),
	"kube-controller-manager": command(controllermanager.NewControllerManagerCommand),
	"kube-scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kube-proxy":              command(proxy.NewProxyCommand),
	"kubelet":                 kubeletProgram,
	"etcd":                    etcd,
	"coredns":                 dns,
	"certs":                   fallible(certs),
	"forget-containers":       fallible(forgetContainers),
	"ingress":                 fallible(ingress),
	"node":                    fallible(node),
	"provisioner":             fallible(provisioner),
	"registry":                fallible(serveRegistry),
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintf(os.Stderr, "usage: kube PROGRAM [ARGUMENTS]\nprograms: %s\n", names())
		os.Exit(2)
	}
	run, known := programs[os.Args[1]]
	if !known {
		fmt.Fprintf(os.Stderr, "kube: no program is called %q; there are: %s\n", os.Args[1], names())
		os.Exit(2)
	}
	os.Args = os.Args[1:]
	os.Exit(run())
}

func names() string {
	found := make([]string, 0, len(programs))
	for name := range programs {
		found = append(found, name)
	}
	slices.Sort(found)
	return strings.Join(found, ", ")
}

func command(build func() *cobra.Command) func() int {
	return func() int { return cli.Run(build()) }
}

func kubeletProgram() int {
	return cli.Run(kubelet.NewKubeletCommand(context.Background()))
}

func fallible(run func(args []string) error) func() int {
	return func() int {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
			return 1
		}
		return 0
	}
}

func etcd() int {
	etcdmain.Main(os.Args)
	return 0
}
