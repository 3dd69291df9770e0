package cluster

import (
	"context"
	"errors"
	"os"
	"strings"
)

// prefix begins the name of everything the node tiers make outside the state
// folder, so that leftovers can be told from other people's things.
const prefix = "mlab"

// hostLink is the machine's end of the link into the first node.
const hostLink = prefix + "host"

// node is one node. Its network namespace also holds, for the first, the
// control plane: neither kube-proxy's nor the CNI's rules touch the machine's.
type node struct {
	Name   string
	IP     string
	Subnet string // of its pods, first three bytes
}

func (t Tier) nodes() []node {
	all := []node{
		{Name: "n1", IP: firstNodeIP, Subnet: "10.244.1"},
		{Name: "n2", IP: secondNodeIP, Subnet: "10.244.2"},
	}
	switch t {
	case OneNode:
		return all[:1]
	case TwoNodes:
		return all
	}
	return nil
}

func netnsName(node string) string { return prefix + "-" + node }
func netnsPath(node string) string { return netnsDir + "/" + netnsName(node) }

// netnsDir is where iproute2 keeps named network namespaces.
const netnsDir = "/run/netns"

// setUpNetwork makes the namespaces and joins them:
//
//	machine                 mlab-n1                        mlab-n2
//	mlabhost 10.199.0.1 --- port-host   port-n2 ---------- eth0 10.199.0.12
//	                             \       /
//	                         fab0 10.199.0.11 (bridge)
//
// The machine has routes to pods and Services through the first node.
func setUpNetwork(ctx context.Context, nodes []node) error {
	first := netnsName("n1")
	cmds := []string{
		"netns add " + first,
		"-n " + first + " link set lo up",
		"-n " + first + " link add fab0 type bridge",
		"-n " + first + " addr add " + firstNodeIP + "/24 dev fab0",
		"-n " + first + " link set fab0 up",
		"link add " + hostLink + " type veth peer name port-host netns " + first,
		"addr add " + hostAddress + "/24 dev " + hostLink,
		"link set " + hostLink + " up",
		"-n " + first + " link set port-host master fab0 up",
		"route add " + podCIDR + " via " + firstNodeIP + " dev " + hostLink,
		"route add " + serviceCIDR + " via " + firstNodeIP + " dev " + hostLink,
		// The API server and the kubelet look for a default route, and a
		// Service's address is routed before it is translated.
		"-n " + first + " route add default via " + hostAddress,
	}
	if len(nodes) > 1 {
		second := netnsName("n2")
		cmds = append(cmds,
			"netns add "+second,
			"-n "+second+" link set lo up",
			"-n "+second+" link add eth0 type veth peer name port-n2 netns "+first,
			"-n "+first+" link set port-n2 master fab0 up",
			"-n "+second+" addr add "+secondNodeIP+"/24 dev eth0",
			"-n "+second+" link set eth0 up",
			"-n "+second+" route add default via "+hostAddress,
			"-n "+first+" route add "+nodes[1].Subnet+".0/24 via "+secondNodeIP,
			"-n "+second+" route add "+nodes[0].Subnet+".0/24 via "+firstNodeIP,
		)
	}
	for _, cmd := range cmds {
		if _, err := runCommand(ctx, append([]string{"ip"}, strings.Fields(cmd)...)...); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if _, err := runCommand(ctx, "nsenter", "--net="+netnsPath(n.Name), "--", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"); err != nil {
			return err
		}
	}
	return nil
}

// removeNetwork removes the namespaces and the link, and with them every
// route, rule and interface in them.
func removeNetwork(ctx context.Context) error {
	var errs []error
	if _, err := os.Stat("/sys/class/net/" + hostLink); err == nil {
		_, err := runCommand(ctx, "ip", "link", "del", hostLink)
		errs = append(errs, err)
	}
	for _, n := range TwoNodes.nodes() {
		if _, err := os.Stat(netnsPath(n.Name)); err == nil {
			_, err := runCommand(ctx, "ip", "netns", "del", netnsName(n.Name))
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
