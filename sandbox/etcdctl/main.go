// Command etcdctl is etcd's own: its module can't be installed by itself, because it replaces others.
package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() {
	ctlv3.MustStart()
}
