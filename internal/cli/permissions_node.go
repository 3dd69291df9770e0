package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// job writes a Job for each node: what scanning it takes, and nothing more. It
// needs no account in the cluster. The comments say what each right is for.
const job = `apiVersion: batch/v1
kind: Job
metadata: {name: %[1]q, namespace: %[2]q}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      nodeName: %[3]q
      tolerations: [{operator: Exists}]
      # it asks nothing of the cluster
      automountServiceAccountToken: false
      # settings of the kernel below net. are those of the network that one is in, and --probe-etcd asks etcd from the node
      hostNetwork: true
      containers:
      - name: merlon
        image: %[4]q
        args: [scan, --node, --host-root, /host, --output, json, --fail-on, none]
        securityContext:
          # root, for files that only root may read; that alone opens no process and no folder of another user
          runAsUser: 0
          runAsGroup: 0
          readOnlyRootFilesystem: true
          allowPrivilegeEscalation: false
          seccompProfile: {type: RuntimeDefault}
          # the profile of most runtimes hides the processes of the node from their readers
          appArmorProfile: {type: Unconfined}
          capabilities:
            drop: [ALL]
            # SYS_PTRACE: files and sockets of other processes; DAC_READ_SEARCH: folders that are closed to all but their owner
            add: [SYS_PTRACE, DAC_READ_SEARCH]
        resources:
          requests: {cpu: 100m, memory: 64Mi}
          limits: {memory: 512Mi}
        volumeMounts:
        # recursive, for /proc and all else that is mounted below; where the runtime cannot (containerd before 2.0), it is not
        - {name: host, mountPath: /host, readOnly: true, recursiveReadOnly: IfPossible}
      volumes:
      - name: host
        hostPath: {path: /, type: Directory}
`

// printNodes writes the Jobs that scan nodes.
func (r *rights) printNodes(w io.Writer) error {
	if r.image == "" {
		return usage("--node needs --image IMAGE: the image of Merlon, as your nodes can pull it")
	}
	if strings.ContainsFunc(r.image, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return usage("--image: %q is no name of an image", r.image)
	}
	if len(r.controlDirs)+len(r.namespaces)+len(r.with) > 0 {
		return usage("--node prints what scanning a node takes, which has no rights in the cluster: leave out --controls, --namespace and --with")
	}
	var b strings.Builder
	for i, node := range r.nodes {
		if !plainName(node) || !plainName(r.account) || !plainName(r.in) {
			return usage("%q, %q or %q is not the name of a Kubernetes object", node, r.account, r.in)
		}
		if i > 0 {
			b.WriteString("---\n")
		}
		fmt.Fprintf(&b, job, jobName(r.account+"-"+node), r.in, node, r.image)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// jobName shortens a name to what the label of a Job's pods can hold, and keeps it
// apart from others that begin alike.
func jobName(name string) string {
	const longest = 63
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.TrimRight(name[:longest-9], "-.") + "-" + hex.EncodeToString(sum[:4])
}
