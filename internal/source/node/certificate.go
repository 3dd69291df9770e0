//go:build linux

package node

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
)

// maxCertificates is how many certificates of one file are told.
const maxCertificates = 100

// certificates reports the certificates in a file of PEM.
func (s *Source) certificates(t *tree, name string) {
	if s.seen["certificate "+name] {
		return
	}
	s.seen["certificate "+name] = true
	text, err := t.read(name, maxConfig)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.gap("unreadable", name, "the certificate cannot be read: %v", cause(err))
		}
		return
	}
	s.pem(text, name, name)
}

// pem reports the certificates of a text. Keys in it are not looked at.
func (s *Source) pem(text []byte, name, file string) {
	for n := 0; n < maxCertificates; {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		n++
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			s.gap("unreadable", file, "certificate %d cannot be read: %v", n, err)
			continue
		}
		spec := s.certificate(c)
		spec["path"] = file
		s.fact("NodeCertificate", fmt.Sprintf("%s:%s:%d", s.node, name, n), file, spec)
	}
}

func (s *Source) certificate(c *x509.Certificate) map[string]any {
	sum := sha256.Sum256(c.Raw)
	spec := map[string]any{
		"subject": c.Subject.String(), "issuer": c.Issuer.String(), "notBefore": c.NotBefore.UTC().Format(time.DateOnly), "notAfter": c.NotAfter.UTC().Format(time.DateOnly),
		"daysLeft": int64(c.NotAfter.Sub(s.Now) / (24 * time.Hour)), "authority": c.IsCA, "signature": c.SignatureAlgorithm.String(), "dnsNames": c.DNSNames,
		"commonName": c.Subject.CommonName, "organizations": c.Subject.Organization,
		"sha256": hex.EncodeToString(sum[:]), // tells one from another of the same names and dates
	}
	var ips []string
	for _, ip := range c.IPAddresses {
		ips = append(ips, ip.String())
	}
	spec["ipAddresses"] = ips
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		spec["keyKind"], spec["keyBits"] = "RSA", key.N.BitLen()
	case *ecdsa.PublicKey:
		spec["keyKind"], spec["keyBits"] = "ECDSA", key.Curve.Params().BitSize
	case ed25519.PublicKey:
		spec["keyKind"], spec["keyBits"] = "Ed25519", 256
	}
	return spec
}

// kubeconfig reports the client certificates in a kubeconfig, which say who it
// is that uses it. Its keys and tokens are not looked at.
func (s *Source) kubeconfig(t *tree, name string) {
	if s.seen["kubeconfig "+name] {
		return
	}
	s.seen["kubeconfig "+name] = true
	text, err := t.read(name, maxConfig)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.gap("unreadable", name, "the kubeconfig cannot be read: %v", cause(err))
		}
		return
	}
	docs, err := s.parse(text, name, false)
	if err != nil || len(docs) == 0 {
		s.gap("invalid-yaml", name, "the kubeconfig cannot be read")
		return
	}
	for u := range docs[0].Get(fact.K("users")).Children() {
		data := u.At("user", "client-certificate-data").Str()
		if raw, err := base64.StdEncoding.DecodeString(data); err == nil && len(raw) > 0 {
			s.pem(raw, name+":"+u.Get(fact.K("name")).Str(), name)
		}
	}
}
