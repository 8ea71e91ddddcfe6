// Command shop serves the demo API by itself.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/sidelight/sidelight/examples/shop"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8081", "address to serve on")
	flag.Parse()
	server := &http.Server{Addr: *listen, Handler: shop.Handler(), ReadHeaderTimeout: 10 * time.Second}
	if err := server.ListenAndServe(); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}
