package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// forgetContainers removes from containerd's stopped store the containers of an earlier run, and keeps every image.
// containerd's own collector frees their snapshots: without a container nothing refers to them.
func forgetContainers(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: kube forget-containers CONTAINERD_ROOT")
	}
	for _, folder := range []string{
		"io.containerd.grpc.v1.cri/containers", "io.containerd.grpc.v1.cri/sandboxes", "io.containerd.runtime.v2.task",
	} {
		if err := os.RemoveAll(filepath.Join(args[0], folder)); err != nil {
			return err
		}
	}
	path := filepath.Join(args[0], "io.containerd.metadata.v1.bolt", "meta.db")
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return nil
	}
	store, err := bbolt.Open(path, 0o644, &bbolt.Options{Timeout: 5 * time.Second})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer store.Close()
	return store.Update(func(tx *bbolt.Tx) error {
		version := tx.Bucket([]byte("v1"))
		if version == nil {
			return nil
		}
		return version.ForEachBucket(func(namespace []byte) error {
			for _, gone := range []string{"containers", "sandboxes"} {
				err := version.Bucket(namespace).DeleteBucket([]byte(gone))
				if err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
					return err
				}
			}
			return nil
		})
	})
}
