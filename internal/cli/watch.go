package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/vuln"
	"github.com/spf13/cobra"
)

const watchExamples = `  # while writing manifests
  merlon watch deploy/

  # a running cluster, from now on
  merlon watch --cluster --changes-only

  # this machine, as a node: what drifts, with before and after
  merlon watch --node --every 1m

  # for another program to read
  merlon watch --context production -o json`

func newWatch(s Streams) *cobra.Command {
	f := &scanFlags{}
	w := &watch{}
	cmd := &cobra.Command{
		Use:   "watch PATH...",
		Short: "Tells findings as they open, change and close",
		Long: `Reads manifests, or with --cluster or --context a running cluster, tells what is
wrong, and goes on: each change is judged as it comes, and what it opens, changes
or closes is told, a line each. A change costs milliseconds, waiting nothing.

With --node it looks at the machine that it runs on every now and then, and tells
drift as well: a flag, a setting, a file's mode or owner, a certificate that is
another than before, with what it was and what it is.

Nothing is told before everything was read once. What cannot be seen is told as
a gap, and so is its end. Findings that are waived are not open.

Ends when interrupted, with exit code 0; 2 wrong usage, 3 Merlon could not do it.`,
		Example: watchExamples,
		RunE: func(cmd *cobra.Command, paths []string) error {
			format := "table"
			if o := f.outputs; cmd.Flags().Changed("output") && len(o) > 0 {
				format = o[len(o)-1]
			}
			if format != "table" && format != "json" {
				return usage("-o: watch writes table or json, not %q", format)
			}
			for _, name := range notWatched {
				if cmd.Flags().Changed(name) {
					return usage("watch has no --%s: see merlon scan", name)
				}
			}
			settled, err := settle(cmd.Flags(), f, paths)
			if err != nil {
				return err
			}
			if err := f.cluster.check("watch", paths, f.node); err != nil {
				return err
			}
			switch {
			case f.node && (len(paths) > 0 || f.cluster.wanted()):
				return usage("watch looks at PATHs, a cluster or a node, not several")
			case f.every < time.Second:
				return usage("--every: a second is the least")
			}
			if slices.Contains(paths, "-") {
				return usage("watch reads files and folders: standard input comes only once")
			}
			f.cluster.ownVersion = cmd.Flags().Changed("k8s-version")
			w.scan = &scan{Streams: s, flags: f, paths: paths, params: settled.params, notices: settled.notices}
			w.teller = newTeller(s, format)
			return w.run(cmd.Context())
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().DurationVar(&f.every, "every", 30*time.Second, "with --node: how often to look")
	cmd.Flags().BoolVar(&w.changesOnly, "changes-only", false, "leave out what is found at the beginning")
	cmd.Flags().Lookup("output").Usage = "write lines for people or programs, `FORMAT`: table, json"
	for _, name := range notWatched {
		cmd.Flags().MarkHidden(name)
	}
	return cmd
}

// notWatched are flags of scan that mean nothing here; a configuration file may
// set them all the same.
var notWatched = []string{"fail-on", "baseline", "framework", "frameworks"}

// watch is one run of the command.
type watch struct {
	*scan
	changesOnly bool
	teller      *teller
	lib         *control.Library
	chosen      *chosen
	session     *assess.Session
	state       *fact.Snapshot
	shown       map[string]*finding.Finding // as they were told, while open
	inline      map[fact.Origin]map[fact.Ref][]finding.Waiver
	waivers     []finding.Waiver
	blind       []*control.Control
	day         string
	advisories  func() []*vuln.Advisory
	started     bool
}

// batch is how long changes are gathered before they are judged together.
const batch = 30 * time.Millisecond

// queue is what a source has reported and nobody has taken.
type queue struct {
	mu      sync.Mutex
	changes []fact.Change
	synced  bool
	ready   chan struct{}
}

func (q *queue) put(c fact.Change) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c.Op == fact.Synced {
		q.synced = true
	} else {
		q.changes = append(q.changes, c)
	}
	if q.synced {
		select {
		case q.ready <- struct{}{}:
		default:
		}
	}
	return nil
}

func (q *queue) take() []fact.Change {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := q.changes
	q.changes = nil
	return out
}

func (w *watch) run(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	tuneMemory(manyBytes) // it stays: memory counts for more than time
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := w.choose()
	if err != nil {
		return err
	}
	w.chosen, w.lib = c, control.NewLibrary()
	sources, err := w.sources(c, w.lib, true)
	if err != nil {
		return failed(err)
	}
	if w.advisories, err = w.scan.advisories(); err != nil {
		return failed(err)
	}
	src := sources[0]
	q := &queue{ready: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { ended <- src.Collect(ctx, q.put) }()
	var timer <-chan time.Time
	for {
		select {
		case <-q.ready:
			if w.session == nil {
				w.identified(c, src)
				w.filed(c)
				w.begin()
				timer = time.After(0)
			} else if timer == nil {
				timer = time.After(batch)
			}
			continue
		case <-timer:
			timer = nil
			err = w.take(q.take())
		case <-w.nextDay():
			err = w.take(nil)
		case err := <-ended:
			if ctx.Err() != nil || err == nil {
				return nil
			}
			return failed(err)
		}
		if err != nil {
			cancel()
			return failed(errors.Join(err, ignoreEnd(<-ended)))
		}
	}
}

func ignoreEnd(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// nextDay fires when the day ends, by which waivers count.
func (w *watch) nextDay() <-chan time.Time {
	if w.session == nil {
		return nil
	}
	now := time.Now().UTC()
	return time.After(now.Truncate(24 * time.Hour).Add(24*time.Hour + time.Second).Sub(now))
}

func (w *watch) begin() {
	w.session = assess.New(w.lib, w.chosen.run, assess.Options{Minor: w.chosen.minor, Params: w.params, Cluster: w.info.UID, Live: w.info.Server != "", Advisories: w.advisories}).Begin()
	w.state, w.shown = &fact.Snapshot{}, map[string]*finding.Finding{}
	w.inline = map[fact.Origin]map[fact.Ref][]finding.Waiver{}
	w.day = today()
	w.settle()
}

func today() string { return time.Now().UTC().Format(time.DateOnly) }

// take judges changes and tells what they made of the findings.
func (w *watch) take(changes []fact.Change) error {
	first := !w.started
	w.started = true
	next := w.state.Apply(changes...)
	fact.Diff(w.state, next, w.waive)
	was := w.state
	gaps := gapsBetween(w.state, next)
	told, err := w.session.Update(next)
	if err != nil {
		return err
	}
	w.state = next
	all := w.settle()
	if len(gaps) > 0 && w.info.Server != "" {
		_, blind, err := control.Blind(w.lib, w.chosen.run, w.params, next.Gaps())
		if err != nil {
			return err
		}
		all = all || !slices.Equal(blind, w.blind)
		w.blind = blind
	}
	if all {
		told = w.everything()
	}
	events := w.events(told)
	if first && w.changesOnly {
		events = nil
	}
	if !first {
		events = append(drift(was, next), events...)
	}
	events = append(events, gaps...)
	if first {
		events = append(events, w.ready())
	}
	return w.teller.tell(events)
}

// settle brings the waivers up to date and reports whether they may waive other
// findings now than those that are told anyway: because a day has passed.
func (w *watch) settle() bool {
	waivers := slices.Clone(w.chosen.waivers)
	for _, refs := range w.inline {
		for _, list := range refs {
			waivers = append(waivers, list...)
		}
	}
	w.waivers, _ = w.chosen.concerned(waivers)
	before := w.day
	w.day = today()
	return before != w.day
}

// waive follows the waivers that stand in objects.
func (w *watch) waive(before, after *fact.Object) {
	if w.flags.noInline {
		return
	}
	if before != nil {
		delete(w.inline[before.Origin], before.Ref())
	}
	if after == nil {
		return
	}
	list, notices := waiversIn(after)
	w.notices = append(w.notices, notices...)
	if len(list) == 0 {
		return
	}
	if w.inline[after.Origin] == nil {
		w.inline[after.Origin] = map[fact.Ref][]finding.Waiver{}
	}
	w.inline[after.Origin][after.Ref()] = list
}

// everything tells every finding anew, and the end of those that are gone.
func (w *watch) everything() []assess.Told {
	r := w.session.Assessment().Without(w.blind).Report(nil, nil)
	out := make([]assess.Told, 0, len(r.Findings))
	there := map[string]bool{}
	for i := range r.Findings {
		there[r.Findings[i].ID] = true
		out = append(out, assess.Told{After: &r.Findings[i]})
	}
	for id, f := range w.shown {
		if !there[id] {
			out = append(out, assess.Told{Before: f})
		}
	}
	slices.SortFunc(out, func(a, b assess.Told) int { return finding.Order(a.Either(), b.Either()) })
	return out
}

// events says what became of findings, as people see them: those asked for that
// are not waived.
func (w *watch) events(told []assess.Told) []event {
	blind := map[string]bool{}
	for _, c := range w.blind {
		blind[c.ID] = true
	}
	r := &finding.Report{}
	for i := range told {
		if f := told[i].After; f != nil && f.Severity >= w.chosen.severity && !blind[f.Control] {
			r.Findings = append(r.Findings, *f)
		}
	}
	r.Waive(w.waivers, w.day)
	open := map[string]*finding.Finding{}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Open() {
			open[f.ID] = f
		}
	}
	var out []event
	for i := range told {
		id := told[i].Either().ID
		before, after := w.shown[id], open[id]
		switch {
		case before == nil && after == nil:
		case before == nil:
			out = append(out, event{Event: "opened", Finding: after})
		case after == nil:
			out = append(out, event{Event: "closed", Finding: before})
		case !alike(before, after):
			out = append(out, event{Event: "changed", Finding: after})
		}
		if after == nil {
			delete(w.shown, id)
		} else {
			w.shown[id] = after
		}
	}
	return out
}

// alike reports whether two states of a finding say the same; that it stands in
// another line now says nothing.
func alike(a, b *finding.Finding) bool {
	x, y := *a, *b
	x.Location, y.Location, x.Also, y.Also = finding.Location{}, finding.Location{}, nil, nil
	t := assess.Told{Before: &x, After: &y}
	return t.Same()
}

// gapsBetween says which gaps opened and closed.
func gapsBetween(a, b *fact.Snapshot) []event {
	var out []event
	note := func(name string, from, than []fact.Gap) {
		only := slices.DeleteFunc(slices.Clone(from), func(g fact.Gap) bool { return slices.Contains(than, g) })
		for _, gap := range assess.GapsOf(only) {
			out = append(out, event{Event: name, Gap: &gap})
		}
	}
	note("gap-opened", b.Gaps(), a.Gaps())
	note("gap-closed", a.Gaps(), b.Gaps())
	return out
}

// ready says that everything was read once.
func (w *watch) ready() event {
	notices := w.notices
	if len(w.blind) > 0 {
		notices = append(notices, blinded(w.blind))
	}
	return event{Event: "watching", Watching: &watching{Objects: w.state.Len(), Open: len(w.shown), Gaps: len(w.state.Gaps()), Target: w.targets(), Notices: notices}}
}
