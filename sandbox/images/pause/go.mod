module k8s-ee/pause

go 1.26
