package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const certificateLife = 365 * 24 * time.Hour

// authority signs what the parts of one cluster show each other.
type authority struct {
	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// certs fills a folder with a new authority, the two server certificates, a certificate per client and the key that
// signs service account tokens.
func certs(args []string) error {
	flags := flag.NewFlagSet("certs", flag.ContinueOnError)
	folder := flags.String("folder", "", "where the files go")
	api := flags.String("api", "", "names and addresses of the API server, with commas between them")
	nodes := flags.String("kubelet", "", "name and address of the node, with a comma between them")
	clients := flags.String("clients", "", "file=user or file=user/group, with commas between them")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ca, err := newAuthority(*folder)
	if err != nil {
		return err
	}
	if err := ca.server("apiserver", strings.Split(*api, ",")); err != nil {
		return err
	}
	if err := ca.server("kubelet-server", strings.Split(*nodes, ",")); err != nil {
		return err
	}
	for _, client := range strings.Split(*clients, ",") {
		file, subject, _ := strings.Cut(client, "=")
		user, group, _ := strings.Cut(subject, "/")
		if err := ca.client(file, user, group); err != nil {
			return err
		}
	}
	return serviceAccountKey(*folder)
}

func newAuthority(folder string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "k8s-ee sandbox"},
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	ca := &authority{folder: folder, certificate: template, key: key}
	content, err := ca.sign(template, key)
	if err != nil {
		return nil, err
	}
	if ca.certificate, err = x509.ParseCertificate(content); err != nil {
		return nil, err
	}
	return ca, ca.write("ca", content, key)
}

func (ca *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour) // clocks of other machines may be behind
	template.NotAfter = time.Now().Add(certificateLife)
	return x509.CreateCertificate(rand.Reader, template, ca.certificate, &key.PublicKey, ca.key)
}

func (ca *authority) issue(file string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	content, err := ca.sign(template, key)
	if err != nil {
		return err
	}
	return ca.write(file, content, key)
}

func (ca *authority) server(file string, names []string) error {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return ca.issue(file, template)
}

func (ca *authority) client(file, user, group string) error {
	subject := pkix.Name{CommonName: user}
	if group != "" {
		subject.Organization = []string{group}
	}
	return ca.issue(file, &x509.Certificate{
		Subject:     subject,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (ca *authority) write(file string, certificate []byte, key *ecdsa.PrivateKey) error {
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	if err := os.WriteFile(filepath.Join(ca.folder, file+".crt"), block, 0o600); err != nil {
		return err
	}
	return writeKey(filepath.Join(ca.folder, file+".key"), key)
}

func serviceAccountKey(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("service account key: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	if err := os.WriteFile(filepath.Join(folder, "service-account.pub"), block, 0o600); err != nil {
		return err
	}
	return writeKey(filepath.Join(folder, "service-account.key"), key)
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	content, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: content}), 0o600)
}
