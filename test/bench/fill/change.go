package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// change reads numbers and lets the pods of the Deployment of each number into
// the node's processes, or no longer, if they are.
func change(ctx context.Context, c *kubernetes.Clientset, in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var i int
		if _, err := fmt.Sscan(lines.Text(), &i); err != nil {
			return fmt.Errorf("read a number: %w", err)
		}
		all := c.AppsV1().Deployments(space(i))
		d, err := all.Get(ctx, fmt.Sprintf("app-%04d", i), metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("find Deployment %d: %w", i, err)
		}
		patch := fmt.Appendf(nil, `{"spec":{"template":{"spec":{"hostPID":%t}}}}`, !d.Spec.Template.Spec.HostPID)
		if _, err := all.Patch(ctx, d.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("change Deployment %d: %w", i, err)
		}
	}
	return lines.Err()
}
