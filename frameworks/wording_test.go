package frameworks

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type framework struct {
	Name, Title, Version, Source, License, View string
	Items                                       []item
}

type item struct {
	ID, Section, Title, Level, Since, Until, Mode, Look, Support string
	Controls                                                     []string
}

// standards says how many items each standard has, and in which reference
// table they are listed. A framework without a row is checked for form only.
var standards = map[string]struct {
	count    int
	table    string
	idColumn string
	levels   []string // only rows whose column "level" is one of these; all if empty
}{
	"cis-1.12":       {131, "cis/cis-1.12.tsv", "id", nil},
	"nist-800-190":   {23, "nist/800-190-risks-countermeasures.tsv", "countermeasure_section", nil},
	"stig":           {94, "stig/kubernetes-stig-v2r6.tsv", "vuln_id", nil},
	"nsa":            {49, "nsa/nsa-cisa-hardening-guide-v1.2.tsv", "id", nil},
	"pss-baseline":   {12, "pss/pod-security-standards.tsv", "check", []string{"baseline"}},
	"pss-restricted": {18, "pss/pod-security-standards.tsv", "check", []string{"baseline", "restricted"}},
}

// cisLevels are the items on which the benchmark's text (seen in two public
// renderings of 1.11 and 1.12) differs from the level in cis-1.12.tsv, which
// took it from profiles of older or other benchmarks.
var cisLevels = map[string]string{
	"1.2.12": "L2", "1.2.13": "L2", "1.2.14": "L2", "3.1.1": "L1", "5.2.9": "L2", "5.3.1": "L1", "5.4.1": "L2",
}

// overridden is the one baseline check that level restricted never runs by
// itself.
const overridden = "hostPathVolumes"

func TestForm(t *testing.T) {
	all := load(t)
	for name := range standards {
		if _, ok := all[name]; !ok {
			t.Errorf("%s.yaml is missing", name)
		}
	}
	for name, f := range all {
		if f.Name != name {
			t.Errorf("%s: name is %q", name, f.Name)
		}
		if f.Title == "" || f.Version == "" || f.License == "" || !strings.HasPrefix(f.Source, "https://") {
			t.Errorf("%s: title, version, license and an https source are needed", name)
		}
		if s, ok := standards[name]; ok && len(f.Items) != s.count {
			t.Errorf("%s: %d items, the standard has %d", name, len(f.Items), s.count)
		}
		seen := map[string]bool{}
		for _, it := range f.Items {
			if seen[it.ID] {
				t.Errorf("%s: item %s twice", name, it.ID)
			}
			seen[it.ID] = true
			for _, problem := range problems(it) {
				t.Errorf("%s: item %q: %s", name, it.ID, problem)
			}
			if name == "cis-1.12" && it.Look == "" {
				t.Errorf("%s: item %s rests on nodes, components or a judgement, so it needs a look", name, it.ID)
			}
		}
	}
}

func TestRestrictedContainsBaseline(t *testing.T) {
	all := load(t)
	restricted := map[string]item{}
	for _, it := range all["pss-restricted"].Items {
		restricted[it.ID] = it
	}
	for _, b := range all["pss-baseline"].Items {
		r, ok := restricted[b.ID]
		if b.ID == overridden {
			if ok {
				t.Errorf("%s is in restricted, where restrictedVolumes reports in its stead at every version", b.ID)
			}
			continue
		}
		if !ok || r.Title != b.Title || r.Since != b.Since || r.Mode != b.Mode {
			t.Errorf("baseline item %s is %+v in restricted", b.ID, r)
		}
	}
}

func TestItemsAreTheStandards(t *testing.T) {
	dir := reference(t)
	if dir == "" {
		return
	}
	all := load(t)
	for name, s := range standards {
		var want, got []string
		rows := map[string]map[string]string{}
		for _, row := range table(t, filepath.Join(dir, s.table)) {
			if len(s.levels) == 0 || slices.Contains(s.levels, row["level"]) {
				if name == "pss-restricted" && row[s.idColumn] == overridden {
					continue
				}
				want = append(want, row[s.idColumn])
				rows[row[s.idColumn]] = row
			}
		}
		for _, it := range all[name].Items {
			got = append(got, it.ID)
			if name != "cis-1.12" || rows[it.ID] == nil {
				continue
			}
			if m := strings.ToLower(rows[it.ID]["assessment"]); it.Mode != m {
				t.Errorf("cis-1.12: item %s is %s, want %s", it.ID, it.Mode, m)
			}
			level := rows[it.ID]["level"]
			if l, ok := cisLevels[it.ID]; ok {
				level = l
			}
			if it.Level != level {
				t.Errorf("cis-1.12: item %s is %s, want %s", it.ID, it.Level, level)
			}
		}
		for _, id := range want {
			if !slices.Contains(got, id) {
				t.Errorf("%s: item %s of the standard is missing", name, id)
			}
		}
		for _, id := range got {
			if !slices.Contains(want, id) {
				t.Errorf("%s: item %s is not in the standard", name, id)
			}
		}
	}
}

// TestListsAreWhole holds the lists of attacks, risks and criteria to their
// number, and where the reference tables are, to their ids.
func TestListsAreWhole(t *testing.T) {
	all := load(t)
	for name, n := range map[string]int{"mitre-attack-containers": 48, "ms-threat-matrix": 40, "owasp-k8s-2025": 10, "soc2": 61, "nist-800-53": 372} {
		if len(all[name].Items) != n {
			t.Errorf("%s: %d items, want %d", name, len(all[name].Items), n)
		}
		if coverage := name[0] == 'm'; (all[name].View == "coverage") != coverage {
			t.Errorf("%s: view %q", name, all[name].View)
		}
	}
	second := 0
	for _, it := range all["pci-dss-4"].Items {
		if strings.Count(it.ID, ".") == 1 {
			second++
		}
	}
	if second != 63 {
		t.Errorf("pci-dss-4: %d requirements of the second level, the standard has 63", second)
	}
	dir := reference(t)
	if dir == "" {
		return
	}
	for name, file := range map[string]string{"mitre-attack-containers": "attack/mitre-attack-containers.json", "ms-threat-matrix": "attack/microsoft-threat-matrix.json"} {
		var table struct{ Techniques []struct{ ID string } }
		decodeJSON(t, filepath.Join(dir, file), &table)
		for _, x := range table.Techniques {
			if !slices.ContainsFunc(all[name].Items, func(it item) bool { return it.ID == x.ID }) {
				t.Errorf("%s lacks %s", name, x.ID)
			}
		}
	}
	controls := map[string]any{}
	decodeJSON(t, filepath.Join(dir, "nist/800-53-rev5-titles-baselines.json"), &controls)
	for id := range controls {
		if !slices.ContainsFunc(all["nist-800-53"].Items, func(it item) bool { return it.ID == id }) {
			t.Errorf("nist-800-53 lacks %s", id)
		}
	}
}

func decodeJSON(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestWordingIsOurs(t *testing.T) {
	dir := reference(t)
	if dir == "" {
		return
	}
	foreign := foreignRuns(t, dir, runLength)
	for name, f := range load(t) {
		for _, it := range f.Items {
			for _, text := range []string{it.Title, it.Look} {
				for _, run := range runs(text, runLength) {
					if from, ok := foreign[run]; ok {
						t.Errorf("%s: item %s shares %q with %q", name, it.ID, run, from)
					}
				}
			}
		}
	}
}

// runLength is how many successive words a title of ours may not share.
const runLength = 5

// foreignRuns lists the runs of words of the standards whose text is not ours to
// copy, each with the text it comes from.
func foreignRuns(t *testing.T, dir string, length int) map[string]string {
	t.Helper()
	foreign := map[string]string{}
	for _, pattern := range []string{"cis/*.tsv", "owasp/*.tsv"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no tables %s in %s: %v", pattern, dir, err)
		}
		for _, file := range files {
			for _, row := range table(t, file) {
				for _, column := range []string{"title", "overview"} {
					for _, run := range runs(row[column], length) {
						foreign[run] = row[column]
					}
				}
			}
		}
	}
	return foreign
}

// The comparison above passes when it finds nothing, so it is shown here to find things.
func TestRuns(t *testing.T) {
	const standard = "Ensure that the admission of `--root-ca-file` is not set: ever"
	for _, c := range []struct {
		name, text string
		shared     bool
	}{
		{"copied", "We say that THE admission, of (--root-ca-file) is good", true},
		{"four words only", "See that the admission of pods is not set to anything", false},
		{"four words and their end", "admission of --root-ca-file is", false},
		{"punctuation between", "the admission of root-ca-file, is not", true},
		{"short text", "not set", false},
	} {
		foreign := runs(standard, runLength)
		shared := slices.ContainsFunc(runs(c.text, runLength), func(r string) bool { return slices.Contains(foreign, r) })
		if shared != c.shared {
			t.Errorf("%s: shared = %v, want %v", c.name, shared, c.shared)
		}
	}
	if r := runs("grep --a-b --c-d /etc/x and", runLength); len(r) != 0 {
		t.Errorf("a run mostly of flags and paths is nobody's wording, got %q", r)
	}
}

var sincePattern = regexp.MustCompile(`^1\.\d+$`)

func problems(it item) []string {
	var p []string
	if it.ID == "" || it.Section == "" || it.Title == "" {
		p = append(p, "id, section and title are needed")
	}
	if n := len([]rune(it.Title)); n > 110 || strings.HasSuffix(it.Title, ".") {
		p = append(p, "a title is one statement of at most 110 characters, without a full stop")
	}
	if it.Mode != "automated" && it.Mode != "manual" && it.Mode != "none" {
		p = append(p, "mode is neither automated, manual nor none")
	}
	if (it.Support == "") != (len(it.Controls) == 0) {
		p = append(p, "controls need a source that says they answer the item: support")
	}
	if it.Mode == "manual" && it.Look == "" {
		p = append(p, "a manual item tells where to look")
	}
	if it.Look != "" && !strings.ContainsAny(it.Look[len(it.Look)-1:], ".?") {
		p = append(p, "look is made of sentences")
	}
	if !slices.Contains([]string{"", "L1", "L2", "CAT I", "CAT II", "CAT III"}, it.Level) {
		p = append(p, "level is none of the standards'")
	}
	if it.Since != "" && !sincePattern.MatchString(it.Since) {
		p = append(p, "since is no Kubernetes minor version")
	}
	return p
}

func load(t *testing.T) map[string]framework {
	t.Helper()
	files, err := fs.Glob(FS, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]framework{}
	for _, file := range files {
		data, err := FS.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := yaml.NewDecoder(bytes.NewReader(data))
		d.KnownFields(true)
		var f framework
		if err := d.Decode(&f); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			t.Fatalf("%s: more than one document (%v)", file, err)
		}
		all[strings.TrimSuffix(path.Base(file), ".yaml")] = f
	}
	return all
}

// reference is the folder of reference tables: MERLON_REFERENCE, or the one of
// our workshop. Elsewhere there is none, and "" is returned.
func reference(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("MERLON_REFERENCE"); dir != "" {
		if _, err := os.Stat(dir); err != nil {
			t.Fatalf("MERLON_REFERENCE: %v", err)
		}
		return dir
	}
	// Tests run in their package's folder, so this is beside the checkout.
	dir := filepath.FromSlash("../../shared/reference")
	if _, err := os.Stat(dir); err != nil {
		t.Logf("no reference tables (set MERLON_REFERENCE): only form and counts are checked")
		return ""
	}
	return dir
}

// table reads a TSV file with a heading line as one map per row.
func table(t *testing.T, file string) []map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	records, err := r.ReadAll()
	if err != nil || len(records) < 2 {
		t.Fatalf("%s: %d lines, %v", file, len(records), err)
	}
	var rows []map[string]string
	for _, record := range records[1:] {
		row := map[string]string{}
		for i, heading := range records[0] {
			if i < len(record) {
				row[heading] = record[i]
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// runs lists every length successive words of a text, in lower case and without
// punctuation. A flag or a path is one word; runs that are mostly such words
// are left out, because there is only one way to write them.
func runs(text string, length int) []string {
	var words []string
	var given []bool // the word is a flag or a path
	for _, raw := range strings.Fields(strings.ToLower(text)) {
		raw = strings.Trim(raw, "`'\"“”’().,;:!?[]{}…")
		isGiven := strings.HasPrefix(raw, "--") || strings.ContainsRune(raw, '/') || fileName.MatchString(raw)
		word := strings.Map(func(r rune) rune {
			if strings.ContainsRune("`'\"“”’().,;:!?[]{}…-_*=", r) {
				return -1
			}
			return r
		}, raw)
		if word != "" {
			words, given = append(words, word), append(given, isGiven)
		}
	}
	var out []string
	for i := 0; i+length <= len(words); i++ {
		n := 0
		for _, g := range given[i : i+length] {
			if g {
				n++
			}
		}
		if n <= length/2 {
			out = append(out, strings.Join(words[i:i+length], " "))
		}
	}
	return out
}

var fileName = regexp.MustCompile(`^[\w-]+\.(yaml|conf|json|crt|key)$`)
