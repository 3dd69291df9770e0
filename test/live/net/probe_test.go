package packets

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The test binary is also what speaks in the pods: run in a pod's network, it
// answers on ports, or calls others and says who answered.
func TestMain(m *testing.M) {
	var err error
	switch os.Getenv("MERLON_PROBE") {
	case "":
		os.Exit(m.Run())
	case "serve":
		err = serve(os.Getenv("MERLON_PROBE_NAME"), os.Getenv("MERLON_PROBE_ADDRESS"))
	case "call":
		err = callAll(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// port is where every pod answers.
type port struct {
	Protocol string // tcp or udp
	Number   int
}

func (p port) String() string { return strconv.Itoa(p.Number) + "/" + p.Protocol }

var ports = []port{{"tcp", 5432}, {"tcp", 6543}, {"tcp", 8000}, {"tcp", 8080}, {"tcp", 8081}, {"udp", 8080}, {"udp", 9053}}

// serve answers every call on every port with its name, until standard input ends.
func serve(name, address string) error {
	for _, p := range ports {
		at := net.JoinHostPort(address, strconv.Itoa(p.Number))
		if p.Protocol == "udp" {
			conn, err := net.ListenPacket("udp4", at)
			if err != nil {
				return err
			}
			go answerPackets(conn, name)
			continue
		}
		l, err := net.Listen("tcp4", at)
		if err != nil {
			return err
		}
		go answerCalls(l, name)
	}
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

func answerPackets(conn net.PacketConn, name string) {
	buf := make([]byte, 64)
	for {
		_, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo([]byte(name), from)
	}
}

func answerCalls(l net.Listener, name string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.WriteString(conn, name)
		}()
	}
}

// call is one attempt: who is to answer, and where.
type call struct {
	From, To string // as merlon net takes them
	Src, Dst string // tags: of replicas, which one
	Local    string // address to call from; "" for any
	Address  string
	Port     port
}

// patience is how long an answer may take. What is dropped never answers, so
// each round lasts as long as this, and all calls of a round are made at once.
const patience = 4 * time.Second

// callAll makes the calls that it reads as a list, all at once, and writes for
// each whether the right one answered.
func callAll(r io.Reader, w io.Writer) error {
	var calls []call
	if err := json.NewDecoder(r).Decode(&calls); err != nil {
		return err
	}
	out := make([]bool, len(calls))
	errs := make([]error, len(calls))
	var wg sync.WaitGroup
	for i, c := range calls {
		wg.Go(func() { out[i], errs[i] = c.make() })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(out)
}

// make makes the call. That another one answers is an error: then the test does
// not test what it says.
func (c *call) make() (bool, error) {
	end := time.Now().Add(patience)
	d := net.Dialer{Deadline: end}
	if a, err := netip.ParseAddr(c.Local); err == nil {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		if c.Port.Protocol == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
		}
	}
	conn, err := d.Dial(c.Port.Protocol+"4", net.JoinHostPort(c.Address, strconv.Itoa(c.Port.Number)))
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return false, nil
		}
		return false, fmt.Errorf("call %v: %w", *c, err) // refused, no route: nobody is there to answer
	}
	defer conn.Close()
	buf := make([]byte, 64)
	for time.Now().Before(end) {
		if c.Port.Protocol == "udp" {
			if _, err := conn.Write([]byte("who?")); err != nil {
				return false, fmt.Errorf("call %v: %w", *c, err)
			}
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience / 4))
		n, err := conn.Read(buf)
		if err == nil && string(buf[:n]) != c.Dst {
			return false, fmt.Errorf("call %v: %q answered", *c, buf[:n])
		}
		if err == nil {
			return true, nil
		}
	}
	return false, nil
}

// inNetwork returns a command that runs the test binary in the network of a
// process; "" for the machine's own.
func inNetwork(process string, env ...string) *exec.Cmd {
	argv := []string{os.Args[0]}
	if process != "" {
		argv = append([]string{"nsenter", "--net=/proc/" + process + "/ns/net", "--"}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

// startServer answers in a pod's network, or at an address of the machine, until
// the test ends.
func startServer(t *testing.T, process, name, address string) {
	t.Helper()
	cmd := inNetwork(process, "MERLON_PROBE=serve", "MERLON_PROBE_NAME="+name, "MERLON_PROBE_ADDRESS="+address)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the server of %s does not start: %q %v", name, line, err)
	}
}

// makeCalls makes calls from the network of a process.
func makeCalls(process string, calls []call) ([]bool, error) {
	text, err := json.Marshal(calls)
	if err != nil {
		return nil, err
	}
	cmd := inNetwork(process, "MERLON_PROBE=call")
	cmd.Stdin = strings.NewReader(string(text))
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("calls of %s: %w", calls[0].Src, err)
	}
	var out []bool
	return out, json.Unmarshal(answer, &out)
}

// processOf finds a process of a pod: the kubelet names cgroups after the pods.
func processOf(t *testing.T, uid string) string {
	t.Helper()
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range groups {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), uid) {
			return filepath.Base(filepath.Dir(file))
		}
	}
	t.Fatalf("no process of the pod %s is there", uid)
	return ""
}
