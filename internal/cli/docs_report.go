package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/finding"
)

// reportTypes are the parts of a report in the order in which the page explains
// them, and what each is.
func reportTypes() []reportType {
	return []reportType{
		{reflect.TypeFor[finding.Report](), "The document. Later versions of Merlon only add fields; what reads it must pass over those it does not know."},
		{reflect.TypeFor[finding.Summary](), "Counts of the report."},
		{reflect.TypeFor[finding.Cluster](), "The cluster that was read, in a scan of one."},
		{reflect.TypeFor[finding.Finding](), "A verdict worth telling: one control, one subject, one field at fault."},
		{reflect.TypeFor[finding.Subject](), "What a finding is about: the owner that a person would edit."},
		{reflect.TypeFor[finding.Location](), "The place of the field at fault. A missing field points at its nearest present parent; a place that is not known for certain is left out."},
		{reflect.TypeFor[finding.Rendered](), "Where a finding stands in what a chart or an overlay renders to. The finding's location is then where a person wrote it: with a line where that was traced for certain, else the file alone."},
		{reflect.TypeFor[finding.Evidence](), "One thing that was seen."},
		{reflect.TypeFor[finding.Manager](), "The Helm release or GitOps application that an object belongs to, by its labels and annotations: what would undo a change made by hand."},
		{reflect.TypeFor[finding.Waived](), "The waiver that covers a finding."},
		{reflect.TypeFor[finding.Gap](), "Something that could not be seen, so that nothing is said of it. A gap is never a pass."},
		{reflect.TypeFor[finding.Framework](), "A standard and how the input stands against it."},
		{reflect.TypeFor[finding.Item](), "One item of a standard."},
	}
}

type reportType struct {
	reflect.Type
	doc string
}

// reportFields explains every field of a report: by type, then by its name in
// JSON.
func reportFields() map[string]map[string]string {
	out := documentFields()
	maps.Copy(out, findingFields())
	maps.Copy(out, frameworkFields())
	return out
}

// documentFields explains the document and its counts.
func documentFields() map[string]map[string]string {
	return map[string]map[string]string{
		"Report": {
			"schema":     "Name and version of this form: `" + finding.Schema + "`.",
			"merlon":     "Version of Merlon that wrote it.",
			"kubernetes": "Kubernetes version that was judged for, `1.36`.",
			"target":     "What was scanned, as the user wrote it; `cluster NAME` for a cluster.",
			"cluster":    "The cluster that was read; not there for files.",
			"summary":    "Counts.",
			"findings":   "What is wrong, the most severe first; waived and known ones included.",
			"gaps":       "What could not be seen.",
			"frameworks": "Every item of every standard with its verdict.",
			"notices":    "What the user should know besides: waivers that ended or cover nothing, a configuration file that was not applied.",
		},
		"Cluster": {
			"uid":     "Its identity: the UID of the namespace kube-system. Not there when that may not be seen.",
			"server":  "Address of the API server.",
			"version": "Version of the API server.",
			"context": "Context of the kubeconfig.",
			"time":    "When all was read, by the clock of the machine that Merlon ran on, RFC 3339.",
		},
		"Summary": {
			"objects":    "Objects read.",
			"files":      "Files read.",
			"controls":   "Controls run.",
			"findings":   "Open findings: neither waived nor known from the baseline.",
			"severities": "Open findings by severity; all four are always there.",
			"waived":     "Findings that a waiver covers.",
			"baseline":   "Findings that the baseline has too.",
			"gaps":       "Gaps.",
		},
		"Gap": {
			"kind":     "Kind of gap, such as `invalid-yaml`, `unreadable`, `too-large`, `no-objects`; of a cluster `forbidden`, `unavailable`, `unauthorized`, `not-asked`, `metadata-only`.",
			"source":   "Source that met it.",
			"location": "Where.",
			"subject":  "What it is about, where that is known.",
			"message":  "What could not be seen, and why.",
			"worlds":   "Charts with their values and overlays that it concerns; not there for plain files, and for what concerns all that was read.",
		},
	}
}

// findingFields explains findings and what they hold.
func findingFields() map[string]map[string]string {
	return map[string]map[string]string{
		"Finding": {
			"id":         "Identity over time, 32 hexadecimal digits: a hash of control, cluster, the owner's group, kind, namespace and name, container, and the path of the field. Moved lines, new API versions, changed texts and severities leave it as it is.",
			"control":    "Id of the control, `family/name`.",
			"family":     "Family of the control.",
			"title":      "The bad state in a few words.",
			"severity":   "What an attacker gains times what he needs first; see control-format.md.",
			"verdict":    "`fail`, or `unknown` where the control could not be judged.",
			"subject":    "What it is about.",
			"location":   "Where the field at fault stands.",
			"evidence":   "What was seen, what decided first. Of what may be secret only the form: kind, length, last two characters.",
			"message":    "What is wrong with this subject.",
			"count":      "How often this very mistake was met, 1 or more.",
			"pods":       "Pods that exist because of the subject; only from a cluster.",
			"managedBy":  "Helm release and GitOps applications that the subject belongs to.",
			"also":       "Further places of the same finding, 20 at most.",
			"worlds":     "Charts with their values and overlays that have the finding; not there for plain files.",
			"rendered":   "Where it stands in what a chart or an overlay renders to.",
			"frameworks": "Items of standards that the control answers, by standard.",
			"why":        "Why it matters: what an attacker gains by it.",
			"fix":        "What to change, as text with YAML in it.",
			"waived":     "The waiver that covers it, if one does.",
			"baseline":   "True when the baseline has it too.",
		},
		"Manager": {
			"tool":      "`helm`, `argocd` or `flux`.",
			"kind":      "`Release`, `Application`, `Kustomization`, `HelmRelease`.",
			"namespace": "Its namespace, where that is known.",
			"name":      "Its name.",
		},
		"Subject": {
			"cluster":    "Identity of the cluster; not there for files.",
			"apiVersion": "API version, as written.",
			"kind":       "Kind.",
			"namespace":  "Namespace, where one is written.",
			"name":       "Name, or generateName.",
			"container":  "Container of its pod.",
		},
		"Location": {
			"file":   "File, as reached from the path that was scanned; `stdin` for standard input.",
			"line":   "Line, from 1.",
			"column": "Column, from 1.",
		},
		"Rendered": {
			"file":   "Template, or file of an overlay, that the object comes from.",
			"line":   "Line of the rendered text.",
			"values": "Key of the chart's values that the line shows, `image.tag`; only where it shows one.",
		},
		"Evidence": {
			"path":  "Path of a field, list elements by their name or key: `spec.containers[app].image`.",
			"value": "Its value; `(not set)` where there is none; the form of it where it may be secret.",
		},
		"Waived": {
			"by":     "Who accepted it; a comment in a manifest may leave that to the history of its file.",
			"reason": "Why.",
			"until":  "Last day on which it holds, `YYYY-MM-DD` (UTC).",
			"source": "File and line of the waiver.",
		},
	}
}

// frameworkFields explains standards.
func frameworkFields() map[string]map[string]string {
	return map[string]map[string]string{
		"Framework": {
			"name":    "Name of the standard.",
			"title":   "Its title.",
			"version": "Its version.",
			"view":    "`coverage` where the items are attacks: then each is `fail` (findings), `guarded` (looked at, nothing found), `unknown` or `not-assessed`, never `pass`.",
			"verdict": "`pass` only if every item passed or does not apply, and at least one passed; `fail` if one failed; else `unknown`.",
			"totals":  "Items by verdict.",
			"items":   "All items, in the standard's order.",
		},
		"Item": {
			"id":       "Id of the item in the standard.",
			"section":  "Section.",
			"title":    "What it asks, in our own words.",
			"verdict":  "How it stands; `not-assessed` where no control answers it.",
			"why":      "What a verdict that is neither pass nor fail rests on.",
			"controls": "Controls that answer it.",
			"findings": "Failures of those controls, waived and known ones included.",
		},
	}
}

// fieldOf is one field of a report in JSON.
type fieldOf struct {
	name     string
	typ      reflect.Type
	optional bool
	doc      string
}

func fieldsOf(t reflect.Type) []fieldOf {
	docs := reportFields()[t.Name()]
	var out []fieldOf
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" || name == "" {
			continue
		}
		out = append(out, fieldOf{name, t.Field(i).Type, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"), docs[name]})
	}
	return out
}

// schemaOf is the JSON Schema of a type.
func schemaOf(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[finding.Severity]():
		return map[string]any{"enum": []string{"critical", "high", "medium", "low"}}
	case reflect.TypeFor[finding.Verdict]():
		return map[string]any{"enum": []finding.Verdict{finding.Pass, finding.Fail, finding.Unknown, finding.NotApplicable, finding.Manual, finding.NotAssessed, finding.Guarded}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.Struct:
		return map[string]any{"$ref": "#/$defs/" + t.Name()}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	}
	return map[string]any{"type": "integer", "minimum": 0}
}

// reportSchema is the JSON Schema of the report. Unknown fields are allowed, for
// later versions add some.
func reportSchema() (string, error) {
	defs := map[string]any{}
	for _, t := range reportTypes() {
		properties := map[string]any{}
		required := []string{}
		for _, f := range fieldsOf(t.Type) {
			s := schemaOf(f.typ)
			s["description"] = f.doc
			properties[f.name] = s
			if !f.optional {
				required = append(required, f.name)
			}
		}
		slices.Sort(required)
		defs[t.Name()] = map[string]any{"type": "object", "description": t.doc, "properties": properties, "required": required}
	}
	data, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "Report of merlon scan -o json, " + finding.Schema,
		"$ref":    "#/$defs/Report",
		"$defs":   defs,
	}, "", "  ")
	return string(data) + "\n", err
}

func reportPage() string {
	var b strings.Builder
	b.WriteString(printed + "# The JSON report\n\n")
	fmt.Fprintf(&b, "`merlon scan -o json` writes one JSON document of the form `%s`. `report.schema.json` beside this page says the same\nas a JSON Schema (2020-12). Paths, lists and texts are in the same order for the same input, byte for byte.\n", finding.Schema)
	for _, t := range reportTypes() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| field | type | meaning |\n|---|---|---|\n", t.Name(), t.doc)
		for _, f := range fieldsOf(t.Type) {
			optional := ""
			if f.optional {
				optional = ", optional"
			}
			fmt.Fprintf(&b, "| `%s` | %s%s | %s |\n", f.name, typeName(f.typ), optional, cell(f.doc))
		}
	}
	return b.String()
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[finding.Severity]():
		return "severity"
	case reflect.TypeFor[finding.Verdict]():
		return "verdict"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + typeName(t.Elem())
	case reflect.Map:
		return "map to " + typeName(t.Elem())
	case reflect.Struct:
		return fmt.Sprintf("[%s](#%s)", t.Name(), strings.ToLower(t.Name()))
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "string"
	}
	return "number"
}
