package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

func TestAConditionIsMetOnceItsTargetIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ready")
	if met("file:" + file) {
		t.Fatal("the file is not there yet")
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if !met("file:"+file) || !met("tcp:"+address) {
		t.Fatal("both are there")
	}
	listener.Close()
	if met("tcp:"+address) || met("https://"+address+"/readyz") {
		t.Fatal("nobody listens any more")
	}
}

func TestAPartThatFailsIsStartedAgainUntilItSucceeds(t *testing.T) {
	folder := t.TempDir()
	script := `if [ -e done ]; then exit 0; fi; touch done; exit 3`
	part := program{Name: "part", Argv: []string{"/bin/sh", "-c", "cd " + folder + "; " + script}, Once: true}
	family := &children{waiting: map[int]chan syscall.WaitStatus{}}
	ended := make(chan struct{})
	go func() {
		part.keep(family, filepath.Join(folder, "part.log"))
		close(ended)
	}()
	for {
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(folder, "part.log"))
			if len(log) == 0 {
				t.Fatal("the failure was not logged")
			}
			return
		case <-time.After(10 * time.Millisecond):
			family.reap()
		}
	}
}

func TestAFolderOutsideTheRootIsNotDeleted(t *testing.T) {
	folder := t.TempDir()
	kept := &core.PersistentVolume{}
	kept.Spec.Local = &core.LocalVolumeSource{Path: folder}
	err := (&directories{root: filepath.Join(folder, "volumes")}).Delete(t.Context(), kept)
	if _, ignored := err.(*controller.IgnoredError); !ignored {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); err != nil {
		t.Fatal(err)
	}
}
