package control

import (
	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/podsecurity"
)

// podSecurityLevel is the function of an object and a version of the policy that
// returns the strictest Pod Security level that all pods of the object meet.
func (lib *Library) podSecurityLevel() expr.Func {
	const name = "podSecurityLevel"
	return expr.Func{Name: name, Min: 2, Max: 2, Whole: true, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
		_, o, err := arguments(f, name, args[0])
		if o == nil {
			return err
		}
		level := podsecurity.Restricted
		for _, p := range fact.PodTemplates(o) {
			one, err := lib.pods.Level(&p, args[1].Str())
			if err != nil {
				return expr.Errorf("%s: %v", name, err)
			}
			if one == podsecurity.Privileged || one == podsecurity.Baseline && level == podsecurity.Restricted {
				level = one
			}
		}
		return expr.StringOf(level)
	}}
}
