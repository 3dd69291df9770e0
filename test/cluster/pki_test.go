package cluster

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"
)

func TestCertificatesFitTheirUse(t *testing.T) {
	c := testCluster(t, OneNode)
	if err := c.writePKI(time.Now()); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		file, ca, host string
		use            x509.ExtKeyUsage
		name, group    string
	}{
		{"apiserver", "ca", "10.96.0.1", x509.ExtKeyUsageServerAuth, "kube-apiserver", ""},
		{"apiserver", "ca", "127.0.0.1", x509.ExtKeyUsageServerAuth, "kube-apiserver", ""},
		{"etcd-server", "etcd-ca", "127.0.0.1", x509.ExtKeyUsageServerAuth, "etcd", ""},
		{"etcd-client", "etcd-ca", "", x509.ExtKeyUsageClientAuth, "kube-apiserver-etcd-client", ""},
		{"front-proxy-client", "front-proxy-ca", "", x509.ExtKeyUsageClientAuth, "front-proxy-client", ""},
		{"admin", "ca", "", x509.ExtKeyUsageClientAuth, "lab-admin", "system:masters"},
		{"kubelet-n1", "ca", "", x509.ExtKeyUsageClientAuth, "system:node:n1", "system:nodes"},
		{"kubelet-server-n1", "ca", "10.199.0.11", x509.ExtKeyUsageServerAuth, "system:node:n1", "system:nodes"},
	}
	for _, tt := range tests {
		if _, err := tls.LoadX509KeyPair(c.pkiFile(tt.file+".crt"), c.pkiFile(tt.file+".key")); err != nil {
			t.Errorf("%s: %v", tt.file, err)
			continue
		}
		ca, err := os.ReadFile(c.pkiFile(tt.ca + ".crt"))
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(ca)
		cert := readCertificate(t, c.pkiFile(tt.file+".crt"))
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: tt.host, KeyUsages: []x509.ExtKeyUsage{tt.use}}); err != nil {
			t.Errorf("%s: %v", tt.file, err)
		}
		if cert.Subject.CommonName != tt.name || strings.Join(cert.Subject.Organization, ",") != tt.group {
			t.Errorf("%s is %s", tt.file, cert.Subject)
		}
	}
}

func readCertificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestKeysAreForTheOwnerOnly(t *testing.T) {
	c := testCluster(t, OneNode)
	if err := c.writePKI(time.Now()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(c.pki())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		public := strings.HasSuffix(e.Name(), ".crt") || strings.HasSuffix(e.Name(), ".pub")
		if !public && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", e.Name(), info.Mode())
		}
	}
}

func TestKubeconfigForNamesTheUser(t *testing.T) {
	c := testCluster(t, ControlPlane)
	if err := c.writePKI(time.Now()); err != nil {
		t.Fatal(err)
	}
	b, err := c.KubeconfigFor("bob", "devs")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{c.Server(), `user: "bob"`, "client-key-data: "} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
}
