// Command enforcer runs the controller of kube-network-policies, which judges
// the packets of a kernel queue by NetworkPolicy, AdminNetworkPolicy and
// BaselineAdminNetworkPolicy. It writes a line for every policy, pod and
// namespace that it has taken note of, so that a test knows what is enforced.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	policyclient "sigs.k8s.io/network-policy-api/pkg/client/clientset/versioned"
	policyinformers "sigs.k8s.io/network-policy-api/pkg/client/informers/externalversions"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "`FILE` to find the cluster in")
	node := flag.String("node", "", "`NAME` of the node whose packets come into the queue")
	queue := flag.Int("queue", 100, "`NUMBER` of the queue")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig, *node, *queue); err != nil {
		fmt.Fprintln(os.Stderr, "enforcer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig, node string, queue int) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	policies, err := policyclient.NewForConfig(config)
	if err != nil {
		return err
	}
	// An empty list of rules denies all. Protobuf makes of it no list, JSON an
	// empty one, which this version of the controller takes for "all".
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	builtIn := informers.NewSharedInformerFactory(client, 0)
	admin := policyinformers.NewSharedInformerFactory(policies, 0)
	core, v1alpha1 := builtIn.Core().V1(), admin.Policy().V1alpha1()
	controller, err := networkpolicy.NewController(client, builtIn.Networking().V1().NetworkPolicies(), core.Namespaces(), core.Pods(), core.Nodes(),
		policies, v1alpha1.AdminNetworkPolicies(), v1alpha1.BaselineAdminNetworkPolicies(),
		networkpolicy.Config{AdminNetworkPolicy: true, BaselineAdminNetworkPolicy: true, QueueID: queue, NodeName: node})
	if err != nil {
		return err
	}
	for kind, informer := range map[string]cache.SharedIndexInformer{
		"NetworkPolicy":              builtIn.Networking().V1().NetworkPolicies().Informer(),
		"AdminNetworkPolicy":         v1alpha1.AdminNetworkPolicies().Informer(),
		"BaselineAdminNetworkPolicy": v1alpha1.BaselineAdminNetworkPolicies().Informer(),
		"Pod":                        core.Pods().Informer(),
		"Namespace":                  core.Namespaces().Informer(),
	} {
		if _, err := informer.AddEventHandler(tell(kind)); err != nil {
			return err
		}
	}
	builtIn.Start(ctx.Done())
	admin.Start(ctx.Done())
	return controller.Run(ctx)
}

// tell writes what has been taken note of: "seen KIND NAMESPACE/NAME VERSION" or
// "gone KIND NAMESPACE/NAME". An informer tells after it has taken note.
func tell(kind string) cache.ResourceEventHandler {
	seen := func(obj any) {
		if o, err := meta.Accessor(obj); err == nil {
			fmt.Printf("seen %s %s/%s %s\n", kind, o.GetNamespace(), o.GetName(), o.GetResourceVersion())
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, obj any) { seen(obj) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if o, err := meta.Accessor(obj); err == nil {
				fmt.Printf("gone %s %s/%s\n", kind, o.GetNamespace(), o.GetName())
			}
		},
	}
}
