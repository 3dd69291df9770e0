package rbac

// bits say in one word what a rule, or a role, may match: a bit for each word
// that it has, all for "*". Two words may share a bit, so that a bit that is set
// proves nothing; one that is not set does.
type bits uint64

const (
	hashStart = 14695981039346656037 // FNV-1a
	hashPrime = 1099511628211
)

// hashWord hashes a verb or a resource. It can be continued: "pods/exec" is
// "pods", more "/", more "exec".
func hashWord(s string) uint64 { return more(hashStart, s) }

func more(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return h
}

// nameHash is for a word together with the name of an object.
func nameHash(word uint64, name string) uint64 {
	if name == "" {
		return word
	}
	return more(more(word, "\x00"), name)
}

// urlHash is hashWord(urlWord).
var urlHash = hashWord(urlWord)

// bitOf folds a hash, whose low bits hold less of it.
func bitOf(h uint64) bits { return 1 << ((h ^ h>>32) * hashPrime >> 58) }

func bitsOf(words []string) bits {
	var out bits
	for _, w := range words {
		if w == "*" {
			return ^bits(0)
		}
		out |= bitOf(hashWord(w))
	}
	return out
}
