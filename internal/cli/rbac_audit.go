package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/rbac/least"
	"github.com/merlon-security/merlon/internal/source"
)

// history is what audit logs say of the use of rights.
type history struct {
	least.Record
	gaps []fact.Gap
}

// readHistory reads audit logs; keep says whose requests are of interest.
func readHistory(ctx context.Context, s Streams, files []string, keep func(rbac.User) bool) (*history, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	kind, _ := config.Find(builtin.Events(), "audit")
	src, err := kind.New(func(v any) error {
		*v.(*source.EventInput) = source.EventInput{Paths: files, Stdin: s.In}
		return nil
	})
	if err != nil {
		return nil, failed(err)
	}
	h := &history{}
	err = src.Read(ctx, func(e *fact.AuditEvent) error {
		h.Add(e, keep)
		return nil
	}, func(g fact.Gap) error {
		h.gaps = append(h.gaps, g)
		return nil
	})
	if err != nil {
		return nil, failed(err)
	}
	if h.Left > 0 {
		h.gaps = append(h.gaps, fact.Gap{Kind: "too-many", Source: "audit", File: files[0], Message: fmt.Sprintf("more than %d different requests; %d were left out", least.MaxUses, h.Left)})
	}
	return h, nil
}

// reach says how far a log reaches.
func (h *history) reach() string {
	if h.From.IsZero() {
		return "the log holds no event"
	}
	text := fmt.Sprintf("the log reaches from %s to %s, %s", h.From.Format(time.RFC3339), h.To.Format(time.RFC3339), span(h.Covered()))
	for _, s := range h.Silences() {
		text += fmt.Sprintf(" without the %s from %s, in which it has no event", span(s.To.Sub(s.From)), s.From.Format(time.DateOnly))
	}
	return text
}

// span says a duration in the two units that matter.
func span(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return fmt.Sprintf("%d seconds", int(d.Seconds()))
}

// rare are things that happen at intervals, which a log that is shorter than
// twice the interval may not show.
var rare = []struct {
	every time.Duration
	what  string
}{
	{time.Hour, "hourly jobs, renewal of tokens and leases after an outage"},
	{24 * time.Hour, "nightly jobs and backups"},
	{7 * 24 * time.Hour, "weekly jobs, scaling at the weekend, releases"},
	{31 * 24 * time.Hour, "monthly jobs, replaced nodes, rotated credentials"},
	{92 * 24 * time.Hour, "renewed certificates, upgrades of Kubernetes"},
	{366 * 24 * time.Hour, "yearly work, restores after a disaster"},
}

// unseen lists what a log cannot have seen often enough to show it.
func (h *history) unseen() []string {
	var out []string
	for _, r := range rare {
		if h.From.IsZero() || h.Covered() < 2*r.every {
			out = append(out, r.what)
		}
	}
	return append(out, "anything that only happens when something fails, and what the audit policy leaves out")
}
