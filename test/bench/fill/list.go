package main

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// list lists what fill makes with client-go's typed client, in pages of 500 and
// in protobuf, and keeps nothing.
func list(ctx context.Context, c *kubernetes.Clientset) (int, error) {
	core, apps, net, rbac := c.CoreV1(), c.AppsV1(), c.NetworkingV1(), c.RbacV1()
	total := 0
	steps := []func(metav1.ListOptions) (int, string, error){
		func(o metav1.ListOptions) (int, string, error) {
			l, err := core.Namespaces().List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := core.Pods("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := apps.Deployments("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := apps.ReplicaSets("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := core.ConfigMaps("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := core.Services("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := core.ServiceAccounts("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := net.Ingresses("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := net.NetworkPolicies("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := rbac.Roles("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := rbac.RoleBindings("").List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := rbac.ClusterRoles().List(ctx, o)
			return len(l.Items), l.Continue, err
		},
		func(o metav1.ListOptions) (int, string, error) {
			l, err := rbac.ClusterRoleBindings().List(ctx, o)
			return len(l.Items), l.Continue, err
		},
	}
	for _, step := range steps {
		for o := (metav1.ListOptions{Limit: 500}); ; {
			n, next, err := step(o)
			if err != nil {
				return total, fmt.Errorf("list: %w", err)
			}
			total += n
			if o.Continue = next; next == "" {
				break
			}
		}
	}
	return total, nil
}
