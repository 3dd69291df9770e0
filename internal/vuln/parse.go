package vuln

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Limits of what is read: the largest record of OSV is below 2 MB, the largest
// list of events below 5,000.
const (
	maxFile     = 256 << 20
	maxRecord   = 16 << 20
	maxEvents   = 20_000
	maxAffected = 50_000
	maxVersions = 500_000
)

// Parse reads one record.
func Parse(data []byte) (*Advisory, error) {
	if len(data) > maxRecord {
		return nil, fmt.Errorf("read advisory: larger than %d bytes", maxRecord)
	}
	var record struct {
		Advisory
		Own struct {
			Merlon struct {
				Needs []Need `json:"needs"`
			} `json:"merlon"`
		} `json:"database_specific"`
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return nil, fmt.Errorf("read advisory: %w", err)
	}
	a := record.Advisory
	a.Needs = record.Own.Merlon.Needs
	if err := a.check(); err != nil {
		return nil, err
	}
	return &a, nil
}

func (a *Advisory) check() error {
	if a.ID == "" {
		return errors.New("read advisory: it has no id")
	}
	if len(a.Affected) > maxAffected {
		return fmt.Errorf("advisory %s: names more than %d packages", a.ID, maxAffected)
	}
	for i := range a.Affected {
		at := &a.Affected[i]
		if len(at.Versions) > maxVersions {
			return fmt.Errorf("advisory %s: lists more than %d versions", a.ID, maxVersions)
		}
		for j := range at.Ranges {
			r := &at.Ranges[j]
			if len(r.Events) > maxEvents {
				return fmt.Errorf("advisory %s: a range has more than %d events", a.ID, maxEvents)
			}
			for k := range r.Events {
				if r.Events[k].count() != 1 {
					return fmt.Errorf("advisory %s: event %d of %s has %d of introduced, fixed, last_affected, limit; it must have one", a.ID, k, at.Package.Name, r.Events[k].count())
				}
			}
		}
	}
	for i := range a.Needs {
		if err := a.Needs[i].check(); err != nil {
			return fmt.Errorf("advisory %s: needs: %w", a.ID, err)
		}
	}
	return nil
}

func (e *Event) count() int {
	n := 0
	for _, v := range [...]string{e.Introduced, e.Fixed, e.LastAffected, e.Limit} {
		if v != "" {
			n++
		}
	}
	return n
}

// ParseAll reads a JSON array of records, or records one after the other. A
// record that cannot be read is an error of its own; the others are returned.
func ParseAll(r io.Reader) ([]*Advisory, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read advisories: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("read advisories: larger than %d bytes", maxFile)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if first := bytes.TrimSpace(data); len(first) > 0 && first[0] == '[' {
		if _, err := dec.Token(); err != nil {
			return nil, fmt.Errorf("read advisories: %w", err)
		}
	}
	var out []*Advisory
	var errs []error
	for n := 1; dec.More(); n++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return out, errors.Join(append(errs, fmt.Errorf("record %d: %w", n, err))...)
		}
		a, err := Parse(raw)
		if err != nil {
			errs = append(errs, fmt.Errorf("record %d: %w", n, err))
			continue
		}
		out = append(out, a)
	}
	return out, errors.Join(errs...)
}
