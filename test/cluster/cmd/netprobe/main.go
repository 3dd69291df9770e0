// Command netprobe is a small network client and server for use in pods:
//
//	netprobe get URL...       prints status and body; sends the pod's token over https
//	netprobe serve ADDRESS    answers every HTTP request with host name and caller
//	netprobe dial HOST:PORT   succeeds when a TCP connection can be made
//
// Debian's static busybox cannot do this: its wget crashes with a timeout and
// its nc cannot just connect.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netprobe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) > 1 && args[0] == "get":
		return get(args[1:])
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 2 && args[0] == "dial":
		conn, err := net.DialTimeout("tcp", args[1], 3*time.Second)
		if err != nil {
			return fmt.Errorf("dial %s: %w", args[1], err)
		}
		fmt.Println("ok")
		return conn.Close()
	}
	return fmt.Errorf("read arguments: want get URL..., serve ADDRESS or dial HOST:PORT")
}

func get(urls []string) error {
	pool := x509.NewCertPool()
	if ca, err := os.ReadFile(serviceAccount + "ca.crt"); err == nil {
		pool.AppendCertsFromPEM(ca)
	}
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for _, url := range urls {
		req, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		if token, err := os.ReadFile(serviceAccount + "token"); err == nil && req.URL.Scheme == "https" {
			req.Header.Set("Authorization", "Bearer "+string(token))
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("get %s: %w", url, err)
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
		resp.Body.Close()
		if err != nil {
			return fmt.Errorf("read answer of %s: %w", url, err)
		}
		fmt.Println(resp.Status, string(body))
	}
	return nil
}

func serve(address string) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find host name: %w", err)
	}
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, host, r.RemoteAddr)
	}))
}
