package phrase

import "strings"

// joints is how many places of a line are looked at to take it apart.
const joints = 8

// sentence translates a text: as a whole, else in parts as errors are joined,
// "operation subject: message; reason: cause".
func (w *work) sentence(text string, depth int) (string, bool) {
	if said, ok := w.match(w.texts, text, depth); ok {
		return said, true
	}
	return w.joined(text, depth, joints)
}

// joined takes the longest head that is known, then what follows it.
func (w *work) joined(text string, depth, left int) (string, bool) {
	at := jointsOf(text, left)
	for i := len(at) - 1; i >= 0; i-- {
		if said, ok := w.match(w.texts, text[:at[i]], depth); ok {
			rest, _ := w.rest(text[at[i]:], depth, left-i-1)
			return said + wide(text[at[i]]) + rest, true
		}
	}
	if len(at) == 0 {
		return text, false
	}
	if head, ok := w.doing(text[:at[0]]); ok && text[at[0]] == ':' {
		rest, _ := w.rest(text[at[0]:], depth, left-1)
		return head + wide(':') + rest, true
	}
	rest, ok := w.rest(text[at[0]:], depth, left-1)
	return text[:at[0]+2] + rest, ok
}

// rest translates what follows the joint at the start of text.
func (w *work) rest(text string, depth, left int) (string, bool) {
	text = text[2:]
	if said, ok := w.match(w.texts, text, depth); ok {
		return said, true
	}
	if left <= 0 {
		return text, false
	}
	return w.joined(text, depth, left)
}

// doing translates the head of an error, "check green".
func (w *work) doing(head string) (string, bool) {
	for i := len(head); i > 0; i = strings.LastIndexByte(head[:i], ' ') {
		said, ok := w.ops[head[:i]]
		if !ok {
			continue
		}
		if step, ok := w.match(w.labels, head, deepest); ok {
			return step, true
		}
		return strings.TrimSpace(said + " " + w.subject(strings.TrimSpace(head[i:]))), true
	}
	return "", false
}

// subject translates what an error is about, where that is more than a name.
func (w *work) subject(text string) string {
	if said, ok := w.match(w.parts, text, deepest); ok {
		return said
	}
	return text
}

func wide(joint byte) string {
	if joint == ':' {
		return "："
	}
	return "；"
}

// jointsOf finds the first places where ": " or "; " joins two texts, outside
// of backticks.
func jointsOf(text string, most int) []int {
	var out []int
	typed := false
	for i := 0; i+1 < len(text) && len(out) < most; i++ {
		switch {
		case text[i] == '`':
			typed = !typed
		case !typed && text[i+1] == ' ' && (text[i] == ':' || text[i] == ';'):
			out = append(out, i)
		}
	}
	return out
}
