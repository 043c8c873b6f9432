// One of the two programs that people install with, by the first argument: helm or kubectl. They are the real ones, so
// what the tests run is what the documentation prints.
package main

import (
	"fmt"
	"log/slog"
	"os"

	helm "helm.sh/helm/v4/pkg/cmd"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
)

func main() {
	if len(os.Args) < 2 {
		fail("the first argument names the program")
	}
	name := os.Args[1]
	// Both read os.Args, as if each were a program of its own.
	os.Args = append([]string{name}, os.Args[2:]...)
	switch name {
	case "helm":
		runHelm()
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			os.Exit(1)
		}
	default:
		fail(fmt.Sprintf("unknown program %q", name))
	}
}

func runHelm() {
	command, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
	if err == nil {
		err = command.Execute()
	}
	if err != nil {
		slog.Error("helm failed", slog.Any("error", err))
		os.Exit(1)
	}
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "tools:", message)
	os.Exit(2)
}
