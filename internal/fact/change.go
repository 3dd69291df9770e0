package fact

// Op is what a [Change] does.
type Op uint8

// The operations. Synced says that a source has told all there is at the
// moment: before it, nothing that rests on absence is judged.
const (
	Upsert Op = iota
	Delete
	GapOpened
	GapClosed
	Synced
)

// Change is one thing that a source reports.
type Change struct {
	Op     Op
	Object *Object // Upsert, Delete
	Gap    Gap     // GapOpened, GapClosed
}

// LooseFiles names the files that belong to no chart and no overlay, where a world
// needs a name: the origin of what is in them names none.
const LooseFiles = "loose files"

// Gap is something that could not be seen, or not be trusted: an unreadable
// file, a broken document, a permission that is missing. A gap is a result of
// its own and never a pass.
type Gap struct {
	Kind    string // stable, in kebab case: "unreadable", "invalid-yaml", "too-large", …
	Source  string // which source met it
	World   string // the one chart, overlay or set of loose files that it concerns; "" for all that was read
	File    string // place, where there is one
	Pos     Pos
	Subject string // object, resource or verb concerned, where known
	Message string // what happened and what it means, without any value that was read
	Hides   string // the kind of objects ("Kind", "group/Kind") of which none or not all are seen; "" for a gap of one place
}
