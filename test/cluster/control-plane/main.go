// One of the three processes of a Kubernetes control plane, by the first argument: etcd, kube-apiserver or
// kube-controller-manager. They are the real ones, so what the tests prove holds in a cluster.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) < 2 {
		fail("the first argument names the process")
	}
	name := os.Args[1]
	// The processes read their flags from os.Args, as if each were a program of its own.
	os.Args = append([]string{name}, os.Args[2:]...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	default:
		fail(fmt.Sprintf("unknown process %q", name))
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "control-plane:", message)
	os.Exit(2)
}
