package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// nodePlan says what the first process of a node's namespaces mounts and runs. The launcher writes it as JSON.
type nodePlan struct {
	Mounts []mount `json:"mounts"`
	// Shadows are files under /proc/sys that the parts may write without changing the host: a copy is put over each.
	Shadows   []string  `json:"shadows"`
	Logs      string    `json:"logs"`
	Processes []program `json:"processes"`
}

type mount struct {
	Type   string `json:"type"` // proc, tmpfs, bpf, or bind
	Source string `json:"source"`
	Target string `json:"target"`
}

// node is process 1 of the node: it prepares the mounts, then starts the parts and starts them again when they end.
func node(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: kube node PLAN")
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("only runs as process 1 of its own namespaces: its mounts would hit the host")
	}
	content, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var plan nodePlan
	if err := json.Unmarshal(content, &plan); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if err := prepareMounts(plan); err != nil {
		return err
	}
	supervise(plan.Processes, plan.Logs)
	return nil
}

func prepareMounts(plan nodePlan) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, m := range plan.Mounts {
		if err := m.apply(); err != nil {
			return fmt.Errorf("mount %s: %w", m.Target, err)
		}
	}
	for _, file := range plan.Shadows {
		if err := shadow(file); err != nil {
			return fmt.Errorf("shadow %s: %w", file, err)
		}
	}
	// The kubelet hands mounts on to containers.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	return nil
}

func (m mount) apply() error {
	if m.Type != "proc" && m.Type != "bpf" {
		if err := os.MkdirAll(m.Target, 0o755); err != nil {
			return err
		}
	}
	if m.Type == "bind" {
		return syscall.Mount(m.Source, m.Target, "", syscall.MS_BIND|syscall.MS_REC, "")
	}
	return syscall.Mount(m.Source, m.Target, m.Type, 0, "")
}

func shadow(file string) error {
	value, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	copied := filepath.Join("/run/shadows", strings.ReplaceAll(strings.TrimPrefix(file, "/"), "/", "."))
	if err := os.MkdirAll(filepath.Dir(copied), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(copied, value, 0o644); err != nil {
		return err
	}
	return syscall.Mount(copied, file, "", syscall.MS_BIND, "")
}
