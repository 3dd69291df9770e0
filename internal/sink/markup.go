package sink

import "strings"

// maxSpan is how many characters of a foreign text stand in Markdown.
const maxSpan = 500

// Code writes foreign text as a span of code in Markdown, in which nothing is
// markup, no person is notified and no issue linked.
func Code(s string) string {
	s = Clip(Text(s), maxSpan)
	fence := ticks(s, 1)
	pad := ""
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") || strings.TrimSpace(s) == "" {
		pad = " "
	}
	return fence + pad + strings.ReplaceAll(s, "|", "¦") + pad + fence
}

// Fence is the line that opens and closes a block of code which a text cannot
// close.
func Fence(s string) string { return ticks(s, 3) }

// ticks is longer than any run of its own kind in a text.
func ticks(s string, least int) string {
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	return strings.Repeat("`", max(least, longest+1))
}

// Markdown writes foreign text as text of Markdown: no markup, no HTML, no link
// that makes itself, no mention of a person or an issue.
func Markdown(s string) string {
	s = Clip(Text(s), maxSpan)
	s = strings.NewReplacer(
		`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "!", `\!`, "|", `\|`, "~", `\~`, "$", `\$`,
		"://", ":\u200b//", "www.", "www\u200b.", "@", "@\u200b", "&", "&amp;", "<", "&lt;", ">", "&gt;", "#", "\\#\u200b",
	).Replace(s)
	return s
}
