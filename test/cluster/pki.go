package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority is a CA that signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// identity is one certificate to issue: as a server when it has addresses, as
// a client when client is set.
type identity struct {
	name   string   // common name: the user
	groups []string // organization: the user's groups
	dns    []string
	ips    []string
	client bool
}

// writePKI writes every key, certificate and kubeconfig below pki, the
// administrator's kubeconfig, and the key for encryption at rest.
func (c *Cluster) writePKI(now time.Time) error {
	w := pkiWriter{dir: c.pki(), server: c.state.API, now: now}
	ca := w.authority("ca", "kubernetes-ca")
	etcd := w.authority("etcd-ca", "etcd-ca")
	front := w.authority("front-proxy-ca", "front-proxy-ca")

	ips := []string{loopbackAddress, firstServiceIP, firstNodeIP}
	api := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	local := []string{"localhost"}
	w.pair("apiserver", ca, identity{name: "kube-apiserver", dns: api, ips: ips})
	w.pair("apiserver-kubelet-client", ca, identity{name: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}, client: true})
	w.pair("etcd-server", etcd, identity{name: "etcd", dns: local, ips: ips, client: true})
	w.pair("etcd-client", etcd, identity{name: "kube-apiserver-etcd-client", client: true})
	w.pair("front-proxy-client", front, identity{name: "front-proxy-client", client: true})
	w.pair("controller-manager-server", ca, identity{name: "kube-controller-manager", dns: local, ips: ips})
	w.pair("scheduler-server", ca, identity{name: "kube-scheduler", dns: local, ips: ips})

	w.user("admin", ca, identity{name: "lab-admin", groups: []string{"system:masters"}})
	w.user("controller-manager", ca, identity{name: "system:kube-controller-manager"})
	w.user("scheduler", ca, identity{name: "system:kube-scheduler"})
	w.user("kube-proxy", ca, identity{name: "system:kube-proxy"})
	for _, n := range c.state.Tier.nodes() {
		id := identity{name: "system:node:" + n.Name, groups: []string{"system:nodes"}}
		w.user("kubelet-"+n.Name, ca, id)
		id.dns, id.ips = []string{n.Name}, []string{n.IP}
		w.pair("kubelet-server-"+n.Name, ca, id)
	}
	w.serviceAccountKeys()
	w.encryption()
	if w.err != nil {
		return fmt.Errorf("write keys: %w", w.err)
	}
	b, err := os.ReadFile(c.pkiFile("admin.kubeconfig"))
	if err != nil {
		return fmt.Errorf("read admin kubeconfig: %w", err)
	}
	if err := os.WriteFile(c.Kubeconfig(), b, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

// KubeconfigFor returns a kubeconfig for a new client certificate: that user
// in those groups, without any right that is not bound to them.
func (c *Cluster) KubeconfigFor(user string, groups ...string) ([]byte, error) {
	ca, err := readAuthority(c.pki(), "ca")
	if err != nil {
		return nil, err
	}
	cert, key, err := ca.issue(identity{name: user, groups: groups, client: true}, time.Now())
	if err != nil {
		return nil, err
	}
	return kubeconfig(c.state.API, user, ca.pem(), cert, key), nil
}

// pkiWriter writes pairs of key and certificate to a folder. After an error it
// does nothing; err is the first one.
type pkiWriter struct {
	dir, server string
	now         time.Time
	err         error
}

func (w *pkiWriter) authority(file, name string) authority {
	if w.err != nil {
		return authority{}
	}
	var a authority
	if a, w.err = newAuthority(name, w.now); w.err != nil {
		return a
	}
	key, err := keyPEM(a.key)
	w.err = err
	w.file(file+".key", key, 0o600)
	w.file(file+".crt", a.pem(), 0o644)
	return a
}

func (w *pkiWriter) pair(file string, a authority, id identity) (cert, key []byte) {
	if w.err != nil {
		return nil, nil
	}
	cert, key, w.err = a.issue(id, w.now)
	w.file(file+".crt", cert, 0o644)
	w.file(file+".key", key, 0o600)
	return cert, key
}

func (w *pkiWriter) user(file string, a authority, id identity) {
	id.client = true
	cert, key := w.pair(file, a, id)
	if w.err == nil {
		w.file(file+".kubeconfig", kubeconfig(w.server, id.name, a.pem(), cert, key), 0o600)
	}
}

func (w *pkiWriter) serviceAccountKeys() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.err = err
		return
	}
	private, err := keyPEM(key)
	if err != nil {
		w.err = err
		return
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		w.err = err
		return
	}
	w.file("sa.key", private, 0o600)
	w.file("sa.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644)
}

// encryption writes the configuration of encryption at rest, with a new key.
func (w *pkiWriter) encryption() {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	w.file("encryption.yaml", fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, configmaps]
  providers:
  - secretbox: {keys: [{name: key1, secret: %s}]}
  - identity: {}
`, base64.StdEncoding.EncodeToString(key)), 0o600)
}

func (w *pkiWriter) file(name string, b []byte, mode os.FileMode) {
	if w.err == nil {
		w.err = os.WriteFile(filepath.Join(w.dir, name), b, mode)
	}
}

func newAuthority(name string, now time.Time) (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, fmt.Errorf("make key of %s: %w", name, err)
	}
	t := certificate(name, now)
	t.NotAfter = now.AddDate(10, 0, 0)
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage |= x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return authority{}, fmt.Errorf("sign %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, fmt.Errorf("read %s: %w", name, err)
	}
	return authority{cert, key}, nil
}

func readAuthority(dir, file string) (authority, error) {
	var a authority
	certPEM, err := os.ReadFile(filepath.Join(dir, file+".crt"))
	if err != nil {
		return a, fmt.Errorf("read CA: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, file+".key"))
	if err != nil {
		return a, fmt.Errorf("read CA key: %w", err)
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return a, fmt.Errorf("decode CA %s: not PEM", file)
	}
	if a.cert, err = x509.ParseCertificate(certBlock.Bytes); err != nil {
		return a, fmt.Errorf("decode CA %s: %w", file, err)
	}
	if a.key, err = x509.ParseECPrivateKey(keyBlock.Bytes); err != nil {
		return a, fmt.Errorf("decode CA key %s: %w", file, err)
	}
	return a, nil
}

// issue returns a new certificate and its key, both PEM.
func (a authority) issue(id identity, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key of %s: %w", id.name, err)
	}
	t := certificate(id.name, now)
	t.Subject.Organization, t.DNSNames = id.groups, id.dns
	for _, ip := range id.ips {
		t.IPAddresses = append(t.IPAddresses, net.ParseIP(ip))
	}
	if len(id.dns)+len(id.ips) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if id.client {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, private.Public(), a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign %s: %w", id.name, err)
	}
	if key, err = keyPEM(private); err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key, nil
}

func (a authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// certificate is one to be signed, for a year. It begins an hour ago, so that tests
// may set clocks back a little.
func certificate(name string, now time.Time) *x509.Certificate {
	serial := make([]byte, 15)
	rand.Read(serial) // never fails
	return &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func kubeconfig(server, user string, ca, cert, key []byte) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: lab
  cluster: {server: %q, certificate-authority-data: %s}
users:
- name: %[3]q
  user: {client-certificate-data: %[4]s, client-key-data: %[5]s}
contexts:
- name: lab
  context: {cluster: lab, user: %[3]q}
current-context: lab
`, server, b64(ca), user, b64(cert), b64(key))
}
