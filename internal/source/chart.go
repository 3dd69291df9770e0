package source

import (
	"context"

	"github.com/merlon-security/merlon/internal/fact"
)

// Revisable is a chart that was rendered, for those who want to know what other
// values would make of it. It can be asked while its survey is open.
type Revisable struct {
	World string // of its objects

	// Keys returns the keys of its values, with where they come out.
	Keys func(context.Context) ([]fact.ValuesKey, error)

	// Render returns what it renders to with values, as YAML, that are merged over
	// those that it has, as those of one more file. A gap that
	// the chart does not have without is an error.
	Render func(ctx context.Context, values []byte) ([]*fact.Object, error)
}
