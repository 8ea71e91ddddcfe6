// Command sidelight is the operator's tool: it runs Sidelight on one host, shows what passes, and tries it out.
package main

import (
	"os"

	"github.com/sidelight/sidelight/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
