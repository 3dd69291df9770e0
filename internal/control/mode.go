package control

import (
	"strconv"

	"github.com/merlon-security/merlon/internal/control/expr"
)

// looser reports whether a file's mode, in octal, gives anybody more than a
// limit does: group or others a bit that the limit has not, or the owner a
// larger digit. What else the owner may do with his own file is his affair: 500
// is not looser than 600, though it has a bit that 600 has not.
func looser(mode, limit string) expr.Value {
	m, err := strconv.ParseUint(mode, 8, 16)
	l, limitErr := strconv.ParseUint(limit, 8, 16)
	if err != nil || limitErr != nil {
		return expr.Errorf("looser: %q or %q is no mode in octal", mode, limit)
	}
	const others, owner = 0o077, 0o700
	return expr.BoolOf(m&others&^l != 0 || m&owner > l&owner)
}
