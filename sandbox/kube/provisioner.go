package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// directories provisions each volume as a folder of the node.
type directories struct {
	root string
	node string
}

func provisioner(args []string) error {
	flags := flag.NewFlagSet("provisioner", flag.ContinueOnError)
	name := flags.String("name", "", "the provisioner that storage classes name")
	kubeconfig := flags.String("kubeconfig", "", "file with the cluster and the credentials")
	root := flags.String("root", "", "folder that holds the volumes")
	node := flags.String("node", "", "name of the node that this folder is on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	controller.NewProvisionController(ctx, client, *name, &directories{root: *root, node: *node},
		controller.LeaderElection(false),
		controller.Threadiness(8),
		controller.FailedDeleteThreshold(0), // 0: retry for ever
		controller.RetryIntervalMax(10*time.Second),
	).Run(ctx)
	return nil
}

func (d *directories) Provision(
	_ context.Context, options controller.ProvisionOptions,
) (*core.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode == core.PersistentVolumeBlock {
		return nil, controller.ProvisioningFinished, fmt.Errorf("block volumes are not supported, only folders")
	}
	for _, mode := range claim.Spec.AccessModes {
		if mode != core.ReadWriteOnce && mode != core.ReadWriteOncePod {
			return nil, controller.ProvisioningFinished, fmt.Errorf("%s is not supported: a volume is a folder of one node", mode)
		}
	}
	path := filepath.Join(d.root, options.PVName)
	// As on a fresh file system: writable by others only once the kubelet has applied the pod's fsGroup.
	if err := os.Mkdir(path, 0o755); err != nil && !os.IsExist(err) {
		return nil, controller.ProvisioningFinished, err
	}
	return d.volume(options, path), controller.ProvisioningFinished, nil
}

func (d *directories) volume(options controller.ProvisionOptions, path string) *core.PersistentVolume {
	filesystem := core.PersistentVolumeFilesystem
	onThisNode := core.NodeSelectorRequirement{
		Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{d.node},
	}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   options.PVC.Spec.AccessModes,
			VolumeMode:                    &filesystem,
			MountOptions:                  options.StorageClass.MountOptions,
			Capacity: core.ResourceList{
				core.ResourceStorage: options.PVC.Spec.Resources.Requests[core.ResourceStorage],
			},
			PersistentVolumeSource: core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{
					MatchExpressions: []core.NodeSelectorRequirement{onThisNode},
				}},
			}},
		},
	}
}

func (d *directories) Delete(_ context.Context, volume *core.PersistentVolume) error {
	if volume.Spec.Local == nil || filepath.Dir(volume.Spec.Local.Path) != filepath.Clean(d.root) {
		return &controller.IgnoredError{Reason: "it is not a folder of this provisioner"}
	}
	return os.RemoveAll(volume.Spec.Local.Path)
}
