// Command fill makes a large cluster of an API server, and lists one as
// client-go does it, which is what Merlon's scan is measured beside.
//
//	fill make [-pods N]   2,000 Deployments with ReplicaSets and 10,000 pods, 5,000 other objects
//	fill list             lists and decodes all of it with client-go's typed client, page by page
//	fill change           changes the Deployment of each number that it reads, one to a line
//
// It writes to the cluster of KUBECONFIG only if that is one of `lab run`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "fill:", err)
		os.Exit(3)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || !slices.Contains([]string{"make", "list", "change"}, args[0]) {
		return errors.New("usage: fill make [-pods N] | fill list | fill change")
	}
	flags := flag.NewFlagSet("fill", flag.ContinueOnError)
	pods := flags.Int("pods", 10_000, "pods to make")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.QPS = -1
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = cfg.ContentType + ",application/json"
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	if args[0] == "list" {
		n, err := list(ctx, c)
		fmt.Println(n, "objects")
		return err
	}
	if os.Getenv("MERLON_LAB_DIR") == "" {
		return errors.New("MERLON_LAB_DIR is not set: only a test cluster is filled")
	}
	if args[0] == "change" {
		return change(ctx, c, os.Stdin)
	}
	return fill(ctx, c, *pods)
}

// many calls one for each number below n, several at a time.
func many(n int, one func(i int) error) error {
	var wg sync.WaitGroup
	var once sync.Once
	var first error
	numbers := numbersBelow(n)
	for range 8 {
		wg.Go(func() {
			for i := range numbers {
				if err := one(i); err != nil && !apierrors.IsAlreadyExists(err) {
					once.Do(func() { first = err })
				}
			}
		})
	}
	wg.Wait()
	return first
}

func numbersBelow(n int) <-chan int {
	c := make(chan int)
	go func() {
		defer close(c)
		for i := range n {
			c <- i
		}
	}()
	return c
}
