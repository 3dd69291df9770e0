// Package openreports is the sink that writes objects of openreports.io/v1alpha1
// as YAML: a Report for each namespace, a ClusterReport for what has none. They
// can be applied to a cluster that has the API, or kept in a repository.
//
// Source: openreports/reports-api, apis/openreports.io/v1alpha1.
package openreports

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
	"go.yaml.in/yaml/v3"
)

const (
	maxResults = 500       // results in one object
	maxBytes   = 700 << 10 // and bytes of their texts: etcd takes 1.5 MiB
	maxText    = 1_000
)

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "openreports", Doc: "Report and ClusterReport objects of openreports.io/v1alpha1, as YAML", Example: "-o openreports=reports.yaml",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes the objects of one report.
type Sink struct{ out sink.Output }

type (
	object struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Metadata   metadata `yaml:"metadata"`
		Source     string   `yaml:"source"`
		Summary    summary  `yaml:"summary"`
		Results    []result `yaml:"results"`
	}
	metadata struct {
		Name      string            `yaml:"name"`
		Namespace string            `yaml:"namespace,omitempty"`
		Labels    map[string]string `yaml:"labels"`
	}
	summary struct {
		Pass  int `yaml:"pass"`
		Fail  int `yaml:"fail"`
		Warn  int `yaml:"warn"`
		Error int `yaml:"error"`
		Skip  int `yaml:"skip"`
	}
	result struct {
		Policy     string            `yaml:"policy"`
		Rule       string            `yaml:"rule,omitempty"`
		Category   string            `yaml:"category"`
		Severity   string            `yaml:"severity,omitempty"`
		Result     string            `yaml:"result"`
		Scored     bool              `yaml:"scored"`
		Message    string            `yaml:"message"`
		Resources  []reference       `yaml:"resources,omitempty"`
		Timestamp  timestamp         `yaml:"timestamp"`
		Properties map[string]string `yaml:"properties"`
	}
	timestamp struct {
		Seconds int64 `yaml:"seconds"`
		Nanos   int32 `yaml:"nanos"`
	}
	reference struct {
		APIVersion string `yaml:"apiVersion,omitempty"`
		Kind       string `yaml:"kind"`
		Namespace  string `yaml:"namespace,omitempty"`
		Name       string `yaml:"name"`
	}
)

// label is what a namespace can be called; what a manifest calls one otherwise
// can be no namespace of a cluster, and its results go to the ClusterReport.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Publish writes the report. Waived and known findings are skip, what could not
// be judged or seen is error.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	by := map[string][]result{"": nil}
	for i := range r.Findings {
		f := &r.Findings[i]
		ns := f.Subject.Namespace
		if !label.MatchString(ns) {
			ns = ""
		}
		by[ns] = append(by[ns], s.finding(f))
	}
	for i := range r.Gaps {
		by[""] = append(by[""], s.gap(&r.Gaps[i]))
	}
	enc := yaml.NewEncoder(s.out.W)
	enc.SetIndent(2)
	for _, ns := range slices.Sorted(maps.Keys(by)) {
		n := 0
		for rest := by[ns]; len(rest) > 0; {
			chunk := rest[:fitting(rest)]
			rest = rest[len(chunk):]
			n++
			if err := enc.Encode(objectOf(ns, n, chunk)); err != nil {
				return fmt.Errorf("write OpenReports: %w", err)
			}
		}
		if ns == "" && n == 0 { // a cluster without findings still has a report that says so
			if err := enc.Encode(objectOf(ns, 1, []result{})); err != nil {
				return fmt.Errorf("write OpenReports: %w", err)
			}
		}
	}
	if err := enc.Close(); err != nil {
		return fmt.Errorf("write OpenReports: %w", err)
	}
	return nil
}

// fitting is how many of some results one object can carry, at least one.
func fitting(results []result) int {
	size := 0
	for i := range results {
		r := &results[i]
		size += len(r.Message) + len(r.Policy) + 200
		for key, value := range r.Properties {
			size += len(key) + len(value) + 10
		}
		for _, x := range r.Resources {
			size += len(x.APIVersion) + len(x.Kind) + len(x.Namespace) + len(x.Name)
		}
		if i > 0 && (size > maxBytes || i == maxResults) {
			return i
		}
	}
	return len(results)
}

func objectOf(ns string, n int, results []result) *object {
	o := &object{APIVersion: "openreports.io/v1alpha1", Kind: "Report", Source: "merlon", Results: results}
	if ns == "" {
		o.Kind = "ClusterReport"
	}
	o.Metadata = metadata{Name: "merlon-" + strconv.Itoa(n), Namespace: ns, Labels: map[string]string{"app.kubernetes.io/managed-by": "merlon"}}
	for i := range results {
		switch results[i].Result {
		case "fail":
			o.Summary.Fail++
		case "error":
			o.Summary.Error++
		case "skip":
			o.Summary.Skip++
		}
	}
	return o
}

func (s *Sink) finding(f *finding.Finding) result {
	out := result{
		Policy: f.Control, Category: f.Family, Severity: f.Severity.String(), Result: "fail", Scored: true,
		Message: clip(f.Message), Timestamp: s.now(),
		Resources:  []reference{{clip(f.Subject.APIVersion), clip(f.Subject.Kind), clip(f.Subject.Namespace), clip(f.Subject.Name)}},
		Properties: map[string]string{"id": f.ID, "title": clip(f.Title), "count": strconv.Itoa(f.Count)},
	}
	if f.Subject.Namespace == "" {
		out.Resources[0].Namespace = ""
	}
	if f.Subject.APIVersion == "" {
		out.Resources[0].APIVersion = ""
	}
	for key, value := range map[string]string{"container": f.Subject.Container, "file": f.Location.File} {
		if value != "" {
			out.Properties[key] = clip(value)
		}
	}
	if f.Location.Line > 0 {
		out.Properties["line"] = strconv.Itoa(int(f.Location.Line))
	}
	if len(f.Evidence) > 0 {
		out.Properties["seen"] = clip(f.Evidence[0].Path + " = " + f.Evidence[0].Value)
	}
	switch {
	case f.Waived != nil:
		out.Result = "skip"
		out.Properties["waived"] = clip("until " + f.Waived.Until + ": " + f.Waived.Reason)
	case f.Baseline:
		out.Result = "skip"
		out.Properties["baseline"] = "true"
	case f.Verdict == finding.Unknown:
		out.Result = "error"
	}
	return out
}

func (s *Sink) gap(g *finding.Gap) result {
	out := result{
		Policy: "merlon/gap", Rule: g.Kind, Category: "gap", Result: "error", Message: clip("not seen, so not judged: " + g.Message),
		Timestamp: s.now(), Properties: map[string]string{"place": clip(sink.Place(g.Location))},
	}
	if g.Subject != "" {
		out.Properties["subject"] = clip(g.Subject)
	}
	return out
}

func (s *Sink) now() timestamp { return timestamp{Seconds: s.out.Time.Unix()} }

func clip(s string) string { return sink.Clip(sink.Text(s), maxText) }
