package vuln

import (
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
	"strings"
)

// Worst returns the highest score of some severities, and its level by the
// ratings of CVSS 3.1, section 5. What cannot be read counts for nothing.
func Worst(scores []Score) (float64, string) {
	worst := 0.0
	for _, s := range scores {
		if v, ok := base(s.Score); ok {
			worst = max(worst, v)
		}
	}
	switch {
	case worst >= 9:
		return worst, "critical"
	case worst >= 7:
		return worst, "high"
	case worst >= 4:
		return worst, "medium"
	case worst > 0:
		return worst, "low"
	}
	return 0, ""
}

// base returns the base score of a vector.
func base(vector string) (float64, bool) {
	switch {
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := gocvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := gocvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := gocvss40.ParseVector(vector); err == nil {
			return v.Score(), true
		}
	}
	return 0, false
}
