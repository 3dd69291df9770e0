package vuln

import (
	"fmt"
	"strings"

	"github.com/google/osv-scalibr/semantic"
)

// semver is the ecosystem of ranges that say themselves that they are SemVer.
const semver = "semver"

// maxVersion bounds what is compared; real versions are below 100 bytes.
const maxVersion = 512

// aliases are names under which an ecosystem is known besides that of OSV.
var aliases = map[string]string{
	"semver": "Go", "go": "Go", "golang": "Go", "kubernetes": "Go", "debian": "Debian", "ubuntu": "Ubuntu", "alpine": "Alpine",
	"apk": "Alpine", "deb": "Debian", "rpm": "Red Hat", "redhat": "Red Hat", "pypi": "PyPI", "maven": "Maven", "rubygems": "RubyGems",
	"gem": "RubyGems", "nuget": "NuGet", "packagist": "Packagist", "composer": "Packagist", "cran": "CRAN", "hackage": "Hackage",
	"cargo": "crates.io", "pub": "Pub", "hex": "Hex",
}

// Compare orders two versions by the rules of an ecosystem: negative when a is
// older. An ecosystem that is not known, and a version that it cannot have, are
// errors.
func Compare(ecosystem, a, b string) (int, error) {
	o, err := newOrder(ecosystem, a)
	if err != nil {
		return 0, err
	}
	if _, err := newOrder(ecosystem, b); err != nil {
		return 0, err
	}
	return o.compare(b), nil
}

// order is a version that others are held against.
type order struct {
	version semantic.Version
	clean   func(string) string
}

func newOrder(ecosystem, version string) (*order, error) {
	base, _, _ := strings.Cut(ecosystem, ":")
	if known, ok := aliases[base]; ok {
		base = known
	}
	o := &order{clean: func(s string) string { return s }}
	if base == "Go" {
		o.clean = goVersion
	}
	if version == "" || len(version) > maxVersion || strings.ContainsAny(version, "\x00\n") {
		return nil, fmt.Errorf("no version: %d characters", len(version))
	}
	v, err := semantic.Parse(o.clean(version), base)
	if err != nil {
		return nil, fmt.Errorf("version %q of %s: %w", version, ecosystem, err)
	}
	o.version = v
	return o, nil
}

// compare is for versions that newOrder took.
func (o *order) compare(other string) int {
	c, err := o.version.CompareStr(o.clean(other))
	if err != nil {
		return -1
	}
	return c
}

// goVersion writes a version of the Go toolchain as SemVer: go1.21rc2 is
// 1.21.0-rc2. Module versions stay as they are, but for their v.
func goVersion(v string) string {
	v = strings.TrimPrefix(strings.TrimPrefix(v, "go"), "v")
	i := strings.IndexFunc(v, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if i < 0 {
		return v
	}
	number, rest := v[:i], v[i:]
	if !strings.HasPrefix(rest, "rc") && !strings.HasPrefix(rest, "beta") {
		return v
	}
	for strings.Count(number, ".") < 2 {
		number += ".0"
	}
	name := strings.TrimRight(rest, "0123456789")
	return number + "-" + name + "." + rest[len(name):]
}
